"""How long to wait before the next try, and what is tried without end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Never

import structlog

_log = structlog.get_logger(__name__)

_STEADY_SECONDS = 10


def delays(
    *, first: timedelta = timedelta(milliseconds=100), most: timedelta = timedelta(seconds=2)
) -> Iterator[float]:
    """Yields seconds without end: doubling from `first` up to `most`, each between half and whole.

    The randomness keeps those who failed together from coming back together.
    """
    ceiling = first
    while True:
        yield ceiling.total_seconds() * random.uniform(0.5, 1)  # noqa: S311 - no secret
        ceiling = min(ceiling * 2, most)


async def repeat(
    work: Callable[[], Awaitable[None]], *, despite: tuple[type[Exception], ...], name: str
) -> Never:
    """Runs `work` again and again, waiting longer each time it fails by one of `despite`.

    The waits begin anew once `work` has run for ten seconds. Any other exception goes through.
    """
    pauses = delays()
    while True:
        started = time.monotonic()
        try:
            await work()
        except despite as error:
            _log.warning("interrupted", work=name, error=f"{type(error).__name__}: {error}")
        if time.monotonic() - started > _STEADY_SECONDS:
            pauses = delays()
        await asyncio.sleep(next(pauses))
