"""The short run that the tests of this folder share: each fault once, then the books.

| fixture | scope   | gives                                                              |
|---------|---------|--------------------------------------------------------------------|
| `short` | session | `Short`: the plan, what came of it, and stores that still run      |
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos import run
from tests.chaos.run import Outcome, Plan
from tests.chaos.sources import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A run that has ended, its services too; its stores still run."""

    plan: Plan
    outcome: Outcome
    sources: Sources

    @property
    def history(self) -> Path:
        """The clients' log."""
        return self.plan.folder / "history.ndjson"


@pytest.fixture(scope="session")
async def short(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Short]:
    """Runs every fault once, each as short as it still means something."""
    plan = Plan(
        folder=tmp_path_factory.mktemp("chaos"),
        seed="short",
        scale=0.1,
        buyers=5,
        patience=6,
    )
    async with run.finished(plan) as (outcome, sources):
        yield Short(plan=plan, outcome=outcome, sources=sources)
