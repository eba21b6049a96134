"""The events that were published, for consumers that may have missed some."""

from collections.abc import AsyncGenerator
from datetime import datetime

import asyncpg

from services.mesh import outbox
from services.mesh.database import Database
from souk.mesh.v1.event_pb2 import Event

_BATCH = 100

# Within one answer the position may be a cursor: what commits later is published later.
_PUBLISHED = """
    SELECT position, event_id, type, aggregate_id, sequence, occurred_at, traceparent, payload
    FROM outbox
    WHERE published_at IS NOT NULL AND occurred_at >= $1 AND position > $2
    ORDER BY position LIMIT $3
"""


class EventStore:
    """The published events that are still kept."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def published(self, *, since: datetime) -> AsyncGenerator[Event, None]:
        """Yields the events that occurred at `since` or later, in the order they were appended."""
        position = 0
        while rows := await self._batch(since, position):
            for row in rows:
                yield outbox.event_from_row(row)
            position = rows[-1]["position"]

    async def _batch(self, since: datetime, position: int) -> list[asyncpg.Record]:
        async with self._db.connection() as conn:
            return await conn.fetch(_PUBLISHED, since, position, _BATCH)
