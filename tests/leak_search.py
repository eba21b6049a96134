"""Searches what is logged in the whole run: a pytest plugin.

| what                                                     | when it is searched          |
|----------------------------------------------------------|------------------------------|
| services in the process of the tests, and what else they | after each phase of a test,  |
| write to their output, and programs that inherit it      | which fails                  |
| `*.log` in the folders of the tests                      | when the session has ended   |

Services log as they do in operation. With `-s` nothing is captured, and only files are searched.
"""

import io
from collections.abc import Generator, Iterator
from contextlib import redirect_stdout

import pytest
import structlog

from services.mesh import logs
from services.mesh.settings import MeshSettings
from tests import leaks

# What is captured now; pytest closes its own file before the process has told its last.
_output = io.TextIOWrapper(io.FileIO(1, "wb", closefd=False), write_through=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Has services log as in operation, unless a test has said otherwise."""
    if not structlog.is_configured():
        with redirect_stdout(_output):
            logs.configure("tests", MeshSettings(log_format="console"))
        # Some tests have loggers of their own for a while.
        structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails a test in whose output there is what must not get out; says where, not what."""
    report = yield
    told = "".join(text for name, text in report.sections if name.endswith(report.when))
    found = leaks.found_in(told)
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"leaked in the output of its {report.when}: {'; '.join(found[:20])}"
    return report


@pytest.fixture(scope="session", autouse=True)
def logs_without_leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Searches the log files when all that wrote them has ended: it is set up before the rest."""
    yield
    leaks.check_all(tmp_path_factory.getbasetemp())
