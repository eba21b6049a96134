"""Tasks beside what a process does, each with an owner who ends it.

    async with background.running(watch(), name="files"):     one, as long as the block lasts
        ...

    async with background.Tasks() as tasks:                   many, of which none outlives the block
        tasks.add(close(former), name="retired channel")

They look for their own failures. One that fails all the same ends nobody else, and is told of.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import structlog

_END_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run `work` until the block is left; `name` is told in logs."""
    task = _task(work, name)
    try:
        yield
    finally:
        task.cancel()
        # Bounded, since a driver may swallow a cancellation.
        await asyncio.wait([task], timeout=_END_SECONDS)


class Tasks:
    """Tasks that are cancelled when the block is left, if they have not ended before."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `work` beside; `name` is told in logs."""
        task = _task(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_of_failure)
    return task


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("background task failed", task=task.get_name(), exc_info=error)
