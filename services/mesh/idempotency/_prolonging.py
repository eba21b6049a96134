"""Prolonging a lease beside the work it is for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from services.mesh.errors import DomainError


@asynccontextmanager
async def prolonged(prolong: Callable[[], Awaitable[bool]], *, every: float) -> AsyncIterator[None]:
    """Calls `prolong` every so many seconds while the block runs, until it returns False.

    A block that is shorter than that costs nothing, not even a task.
    """
    loop = asyncio.get_running_loop()
    prolonging: list[asyncio.Task[None]] = []
    begin = loop.call_later(
        every, lambda: prolonging.append(loop.create_task(_repeat(prolong, every)))
    )
    try:
        yield
    finally:
        begin.cancel()
        for task in prolonging:
            task.cancel()
        if prolonging:
            await asyncio.wait(prolonging)


async def _repeat(prolong: Callable[[], Awaitable[bool]], every: float) -> None:
    stands = True
    while stands:
        # Without a database the lease ends, and the attempt is fenced off if another begins.
        with suppress(DomainError):
            stands = await prolong()
        await asyncio.sleep(every)
