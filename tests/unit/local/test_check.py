"""`make check` prints one line for each check and fails when one has failed."""

import pytest

from services.local.check import CHECKS, Check, Result, line, main, run

PASSES = Check(name="passes", command=("python", "-c", "print('noise')"))
FAILS = Check(name="fails", command=("python", "-c", "raise SystemExit('wrong')"))
MISSING = Check(name="missing", command=("no-such-program",))
UNMET = Check(name="unmet", command=("false",), needs=("python", "no-such-tool"))


@pytest.mark.parametrize(
    ("checks", "exit_code"),
    [((PASSES,), 0), ((PASSES, FAILS), 1), ((FAILS, PASSES), 1), ((MISSING,), 1)],
)
def test_one_failed_check_fails_all(checks, exit_code):
    """The exit code is 0 only when every check passed; one that cannot start has failed."""
    assert exit_code == main(checks)


def test_a_passed_check_is_one_line():
    """What a passed check printed is left out."""
    passed = Result(check=PASSES, exit_code=0, output="noise\n", seconds=0.26)
    assert "passes             ok       0.3 s\n" == line(passed)


def test_a_failed_check_shows_what_it_printed():
    """What a failed check printed stands below its line."""
    failed = Result(check=FAILS, exit_code=1, output="wrong\n", seconds=1.0)
    assert "fails              FAILED   1.0 s\n    wrong\n" == line(failed)


def test_errors_are_part_of_the_output():
    """Standard error counts: most tools say there what is wrong."""
    assert (1, "wrong\n") == (run(FAILS).exit_code, run(FAILS).output)


def test_a_check_that_cannot_tell_is_skipped_with_its_reason(capsys):
    """Exit code 77 says that it can't be made here; that fails nothing."""
    command = ("python", "-c", "print('no network'); raise SystemExit(77)")
    expected = "unsure             skipped: no network\n"
    assert (0, expected) == (
        main((Check(name="unsure", command=command),)),
        capsys.readouterr().out,
    )


def test_every_check_has_its_own_name():
    """A line of the summary names one check."""
    assert len(CHECKS) == len({check.name for check in CHECKS})


def test_a_check_without_its_tools_is_skipped_by_name(capsys):
    """What is not installed is named, and fails nothing."""
    expected = "unmet              skipped: no-such-tool not installed (make tools)\n"
    assert (0, expected) == (main((UNMET,)), capsys.readouterr().out)
