"""Ends a server of a test so that no connection is left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# asyncio begins to serve what it has accepted within three turns of its loop.
_TURNS: Final = 5


@asynccontextmanager
async def closing(server: asyncio.Server) -> AsyncIterator[int]:
    """Yields the port of a server that is closed when the block is left."""
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await close(server)


async def close(server: asyncio.Server) -> None:
    """Closes a server once all that it has accepted is being served.

    A connection that was accepted in the turn before `Server.close` is dropped by asyncio, and its
    socket stays open until it is collected.
    """
    for listening in server.sockets:
        server.get_loop().remove_reader(listening.fileno())
    await some_turns()
    server.close()


async def some_turns() -> None:
    """Lets begin what was accepted, and hang up what was closed."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
