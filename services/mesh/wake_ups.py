"""Tells other connections and processes of a commit, after it (PostgreSQL's NOTIFY).

    async with db.transaction() as conn:
        ...
    wake_ups.send("order_changed", str(order_id))

A NOTIFY inside the transaction would make commits queue: PostgreSQL holds one lock for all that
notify, each until it is on disk. So wake-ups are collected and sent on their own, many at a time,
without waiting for the disk. One that is lost, as when the process dies in between, costs whoever
listens a poll (`services.mesh.listen`).
"""

import asyncio
from collections.abc import Callable

from services.mesh import backoff
from services.mesh.database import Database
from services.mesh.errors import DomainError

Wake = Callable[[str, str], None]
"""Is called with a channel and a payload after a commit; never waits, never fails."""

_SEND = """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(each.channel, each.payload)
    FROM unnest($1::text[], $2::text[]) AS each (channel, payload)
"""


def wake_nobody(_channel: str, _payload: str) -> None:
    """Sends nothing, where nobody listens."""


class WakeUps:
    """Sends wake-ups on `db` as long as `run` does."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queued: set[tuple[str, str]] = set()
        self._is_queued = asyncio.Event()

    def send(self, channel: str, payload: str = "") -> None:
        """Has a wake-up sent soon; the same one twice is sent once."""
        self._queued.add((channel, payload))
        self._is_queued.set()

    async def run(self) -> None:
        """Sends until cancelled, through every outage of the database."""
        await backoff.repeat(self._send_queued, despite=(DomainError,), name="wake-ups")

    async def _send_queued(self) -> None:
        while True:
            await self._is_queued.wait()
            self._is_queued.clear()
            queued, self._queued = self._queued, set()
            channels, payloads = zip(*queued, strict=True)
            async with self._db.connection() as conn:
                await conn.execute(_SEND, channels, payloads)
