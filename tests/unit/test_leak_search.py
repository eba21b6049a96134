"""The search of a whole run finds what was planted, wherever it was told, and fails the run."""

import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SECONDS = 100

_TESTS = """
import logging, subprocess
import pytest, structlog

def test_log_of_a_service():
    structlog.get_logger().info("event", password="canary")

@pytest.fixture
def telling():
    yield
    logging.getLogger("library").warning("for ada@example.com")

def test_library_at_the_end_of_a_fixture(telling):
    pass

def test_program():
    subprocess.run(["echo", "INSERT INTO users VALUES (1)"], check=True)

def test_clean():
    structlog.get_logger().info("call", code="OK")

def test_file(tmp_path):
    (tmp_path / "a.log").write_text("canary")
"""

EXPECTED = [
    "leaked in the output of its call: line 1: SQL",
    "leaked in the output of its call: line 1: a planted secret",
    "leaked in the output of its teardown: line 1: an e-mail address",
    "leaked: test_file0/a.log, line 1: a planted secret",
]


def test_what_is_planted_fails_the_run(tmp_path: Path):
    """Each place is told; a clean test passes, as does one whose file is found at the end."""
    (tmp_path / "test_planted.py").write_text(_TESTS)
    done = subprocess.run(  # noqa: S603  # our own program
        (
            *(sys.executable, "-m", "pytest", "--quiet", "-p", "tests.leak_search"),
            *("-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)),
            *("--basetemp", str(tmp_path / "tmp")),
        ),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    # What was planted there is not for the search of this very run.
    shutil.rmtree(tmp_path / "tmp")

    assert EXPECTED == [each for each in EXPECTED if each in done.stdout], done.stdout
    assert "2 failed, 3 passed, 2 errors" in done.stdout
