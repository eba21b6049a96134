"""The shop survives every fault, once each, while people buy; and each invariant can fail.

The run, each fault once, is made by the fixture `short`. Its stores go on when it has ended, and
for each invariant a copy of the books is broken by hand.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import leaks
from tests.chaos import books, history, invariants, report, run, scratch
from tests.chaos.breaks import BREAKS, LITTLE, OVERUSES
from tests.chaos.faults import FAULTS
from tests.chaos.invariants.answers import last_item_answers
from tests.chaos.resources import Usage
from tests.chaos.run import Outcome, Plan
from tests.chaos.sources import Sources

pytestmark = pytest.mark.timeout(1200)


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

    @property
    def table(self) -> str:
        """What a failure shows."""
        return "\n" + "\n".join(report.lines(self.plan, self.outcome))


@pytest.fixture(scope="session")
async def short(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Short]:
    """Runs every fault once, each as short as it still means something."""
    folder = tmp_path_factory.mktemp("chaos")
    # Other tests run beside it, on as few as two cores.
    plan = Plan(folder=folder, seed="short", scale=0.1, buyers=5, patience=6)
    async with run.finished(plan) as (outcome, sources):
        yield Short(plan=plan, outcome=outcome, sources=sources)


def test_every_invariant_holds(short: Short):
    """After each fault was injected once, every invariant holds and nothing is left to do."""
    assert short.outcome.holds, short.table


def test_every_fault_took_effect(short: Short):
    """Each fault was really injected: a point was reached, a process killed, a call refused."""
    assert [] == [name for name in FAULTS if not short.outcome.injected[name]], short.table


def test_people_could_buy(short: Short):
    """All the while orders were placed, and patient clients got their answers."""
    assert short.outcome.orders > 100
    assert short.outcome.unanswered == 0


def test_the_last_item_is_one_order_and_99_refusals(short: Short):
    """Of a hundred who buy the last piece at once, one has it and 99 are told that it is gone."""
    (note,) = history.notes(short.history, "last item")
    told = last_item_answers(history.read(short.history), note["product"])
    assert Counter(told.values()) == {"sold": 1, "OUT_OF_STOCK": 99}


def test_no_log_tells_a_secret(short: Short):
    """Whatever fails, no process writes tokens, passwords, addresses or SQL into its log."""
    leaks.check(sorted(short.plan.folder.rglob("logs/*.log")))


def test_each_invariant_is_broken_once():
    """No invariant is left out here."""
    named = {invariant.__name__ for invariant in invariants.INVARIANTS}
    assert named == BREAKS.keys() | OVERUSES.keys()


@pytest.mark.parametrize("name", BREAKS)
async def test_broken_books_are_named(short: Short, name: str, tmp_path: Path):
    """An invariant that holds names who breaks it once the books are changed by hand."""
    async with scratch.copied(short.sources, short.history, tmp_path) as copy:
        await BREAKS[name](copy)
        broken = await _broken(copy.sources, copy.history)
    assert [] == short.outcome.broken[name]
    assert name in broken


@pytest.mark.parametrize("name", OVERUSES)
async def test_overuse_is_named(short: Short, name: str):
    """A process that keeps more than it had is named."""
    assert [] == short.outcome.broken[name]
    assert name in await _broken(short.sources, short.history, OVERUSES[name])


async def _broken(sources: Sources, told: Path, usage: Usage = LITTLE) -> list[str]:
    """Returns the names of the invariants that do not hold."""
    found = await books.read(sources, told, baseline={"order": LITTLE}, usage={"order": usage})
    return [name for name, offenders in invariants.check(found).items() if offenders]
