"""PostgreSQL's LISTEN: being told of commits, instead of asking again and again.

What is told is only ever a wake-up: notifications are lost while nobody listens, so who is woken
reads what is new, and reads too when the listening begins.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Never

from services.mesh import waiting
from services.mesh.database import Connection, Database

_PROBE_SECONDS = 10


async def listen(
    db: Database, handlers: Mapping[str, Callable[[str], None]], *, begun: Callable[[], None]
) -> Never:
    """Calls each channel's handler with the payload of its notifications.

    `begun` is called once it listens. Raises Unavailable when the connection is lost; run it by
    `backoff.repeat`.
    """
    async with db.connection() as conn:
        listeners = {channel: _listener(handler) for channel, handler in handlers.items()}
        for channel, listener in listeners.items():
            await conn.add_listener(channel, listener)
        try:
            begun()
            await _until_lost(conn)
        finally:
            for channel, listener in listeners.items():
                await conn.remove_listener(channel, listener)


def _listener(handler: Callable[[str], None]) -> Callable[[object, int, str, object], None]:
    return lambda _conn, _pid, _channel, payload: handler(str(payload))


async def _until_lost(conn: Connection) -> Never:
    """Raises what the database raises once the connection is gone, even if cut without a word."""
    lost = asyncio.Event()
    conn.add_termination_listener(lambda *_: lost.set())
    while True:
        await waiting.set_within(lost, _PROBE_SECONDS)
        await conn.execute("SELECT 1")
