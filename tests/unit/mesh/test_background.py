"""What runs beside a process ends with its owner, and does not fail unheard."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from services.mesh import background


class Recorded:
    """Work that says whether it was cancelled; or fails, if it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.is_cancelled = False

    async def wait(self) -> None:
        """Waits until it is cancelled."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise

    async def fail(self) -> None:
        """Fails."""
        self.begun.set()
        raise RuntimeError("broken")


@pytest.fixture(autouse=True)
def _own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs by a logger that no other test has bound before."""
    monkeypatch.setattr(background, "_log", structlog.get_logger("test"))


async def test_a_task_ends_with_its_block() -> None:
    """What runs as long as a block is cancelled, and waited for, at the block's end."""
    work = Recorded()
    async with background.running(work.wait(), name="work"):
        await work.begun.wait()
    assert work.is_cancelled


async def test_tasks_end_with_their_block() -> None:
    """So do any number of them; one that has ended before is not in the way."""
    works = [Recorded(), Recorded()]
    async with background.Tasks() as tasks:
        tasks.add(asyncio.sleep(0), name="short")
        for work in works:
            tasks.add(work.wait(), name="work")
            await work.begun.wait()
    assert [True, True] == [work.is_cancelled for work in works]


async def test_a_failure_is_told_and_ends_nobody_else() -> None:
    """The log has the task and what it failed by; the block goes on."""
    one, many = Recorded(), Recorded()
    with capture_logs() as logs:
        async with (
            background.running(one.fail(), name="one"),
            background.Tasks() as tasks,
        ):
            tasks.add(many.fail(), name="many")
            await asyncio.gather(one.begun.wait(), many.begun.wait())
            await asyncio.sleep(0)
    assert [("background task failed", "one"), ("background task failed", "many")] == [
        (log["event"], log["task"]) for log in logs
    ]
