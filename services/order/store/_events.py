"""The events that were committed, for consumers that may have missed some."""

from collections.abc import AsyncGenerator, Collection
from datetime import datetime
from uuid import UUID

import asyncpg

from services.mesh import outbox
from services.mesh.database import Database
from souk.mesh.v1.event_pb2 import Event

_BATCH = 100

_COLUMNS = """
    position, event_id, type, aggregate_id, sequence, occurred_at, traceparent, payload
"""

# What was published before a time was appended before it. The minute makes up for the moment
# between an event's position and its time.
_LAST_BEFORE = """
    SELECT position FROM outbox WHERE published_at < $1::timestamptz - interval '1 minute'
    ORDER BY published_at DESC LIMIT 1
"""

# Within one answer the position may be a cursor: what commits later is published later.
_SINCE = f"""
    SELECT {_COLUMNS} FROM outbox
    WHERE occurred_at >= $1 AND position > $2
    ORDER BY position LIMIT $3
"""  # noqa: S608  # only our own column names

_WITH_IDS = f"""
    SELECT {_COLUMNS} FROM outbox WHERE event_id = ANY($1) ORDER BY position
"""  # noqa: S608  # likewise


class EventStore:
    """The committed events that are still kept, published or not."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def since(self, since: datetime) -> AsyncGenerator[Event, None]:
        """Yields the events that occurred at `since` or later, in the order they were appended."""
        before = await self._batch(_LAST_BEFORE, since)
        position = before[0]["position"] if before else 0
        while rows := await self._batch(_SINCE, since, position, _BATCH):
            for row in rows:
                yield outbox.event_from_row(row)
            position = rows[-1]["position"]

    async def with_ids(self, event_ids: Collection[UUID]) -> AsyncGenerator[Event, None]:
        """Yields those of the events that were committed, in the order they were appended."""
        for row in await self._batch(_WITH_IDS, list(event_ids)):
            yield outbox.event_from_row(row)

    async def _batch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._db.connection() as conn:
            return await conn.fetch(query, *arguments)
