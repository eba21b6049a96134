"""Taking what must not be left behind: a claim or a lease, when the call is cut off meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from services.mesh.errors import DomainError

T = TypeVar("T")


async def take(taking: Coroutine[Any, Any, T], *, give_back: Callable[[T], Awaitable[None]]) -> T:
    """Returns what `taking` takes; when cancelled, gives it back, since it may be committed.

    A transaction that is cancelled may commit all the same. So it is not: it ends, and then what
    was taken is given back. If that fails, the claim or the lease runs out.
    """
    task = asyncio.ensure_future(taking)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(DomainError):
            await give_back(await task)
        raise
