"""What `tests/run-part` runs again, and what has failed for good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN_PART = Path(__file__).parents[1] / "run-part"

_FAILS_ONCE = """
import pathlib

import pytest

@pytest.mark.parametrize("number", range({number}))
def test_once(number):
    mark = pathlib.Path(__file__).with_name(f"{{number}}.mark")
    had_run = mark.exists()
    mark.touch()
    assert had_run{reason}

def test_well():
    pass
"""

_CRASHES = """
import os, pathlib

def test_crashing():
    mark = pathlib.Path(__file__).with_suffix(".mark")
    runs = mark.stat().st_size if mark.exists() else 0
    mark.write_text("." * (runs + 1))
    if runs < {times}:
        os.abort()
"""


def fails_once(*, number=1, reason=""):
    """Returns a file with so many tests that fail when they run first, and with one that passes."""
    return _FAILS_ONCE.format(number=number, reason=reason)


@pytest.fixture
def run(tmp_path):
    """Runs a file of tests as a part and returns the exit status and what was printed."""

    def run(text, *options, file="tests/unit/test_it.py"):
        path = tmp_path / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
        (tmp_path / "pytest.ini").touch()
        done = subprocess.run(  # noqa: S603  # our own script
            [_RUN_PART, sys.executable, "-m", "pytest", "-ra", "-p", "xdist", *options, file],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            timeout=100,
            check=False,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    return run


def test_what_fails_once_is_named(run):
    """It passes when it runs alone, and is named after that."""
    status, output = run(fails_once())
    assert status == 0
    told = output.partition("Passed alone and failed beside other work")[2]
    assert "FAILED tests/unit/test_it.py::test_once[0]" in told


def test_what_fails_again_has_failed(run):
    """Once more, and no more."""
    status, output = run("def test_wrong():\n    assert 0")
    assert (1, 2) == (status, output.count("1 failed"))


@pytest.mark.parametrize(
    "file",
    [
        "tests/chaos/test_it.py",
        "tests/contract/test_it.py",
        "tests/e2e/test_secrets.py",
        "tests/fuzz/test_it.py",
    ],
)
def test_what_a_search_found_is_there(run, file):
    """A search for lost money and open doors has no second chance."""
    status, output = run(fails_once(), file=file)
    assert (1, 1) == (status, output.count("1 failed"))


def test_a_leak_is_there(run):
    """Nor has what leaked."""
    status, output = run(fails_once(reason=', "leaked: a token"'))
    assert (1, 1) == (status, output.count("1 failed"))


def test_many_failures_are_no_race(run):
    """Four have failed."""
    status, output = run(fails_once(number=4))
    assert (1, 1) == (status, output.count("4 failed"))


def test_a_crash_runs_all_again(run):
    """The part's process is made anew."""
    status, output = run(_CRASHES.format(times=1))
    assert status == 0
    assert "1 passed" in output


def test_crashes_without_end_have_failed(run):
    """Not even one test of the part is believed."""
    workers = ("--numprocesses", "1", "--max-worker-restart", "0")
    status, output = run(_CRASHES.format(times=4), *workers)
    assert (1, 3) == (status, output.count("gRPC's core crashed"))
