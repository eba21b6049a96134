"""What users were told."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.mesh.database import Connection, Database
from services.mesh.ids import new_id
from services.notification.domain import (
    Channel,
    Delivery,
    DeliveryState,
    Draft,
    Notification,
)

ADDED = "notifications"
"""The PostgreSQL channel that tells of a new notification; the payload is the user's id."""

_PAGE = """
    SELECT notification_id, user_id, order_id, type, title, body, create_time
    FROM notifications
    WHERE user_id = $1 AND ($2::uuid IS NULL OR order_id = $2)
        AND ($3::uuid IS NULL OR notification_id < $3)
    ORDER BY notification_id DESC LIMIT $4
"""

_SINCE = """
    SELECT notification_id, user_id, order_id, type, title, body, create_time
    FROM notifications
    WHERE user_id = $1 AND create_time >= $2
    ORDER BY create_time
"""

_DELIVERIES = """
    SELECT notification_id, channel, state, attempt_count, update_time
    FROM deliveries
    WHERE notification_id = ANY($1)
    ORDER BY channel
"""

_ADD = """
    WITH added AS (
        INSERT INTO notifications
            (notification_id, event_id, user_id, order_id, type, title, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (event_id) DO NOTHING
        RETURNING notification_id, user_id
    ), to_send AS (
        INSERT INTO deliveries (notification_id, channel)
        SELECT notification_id, unnest($8::text[]) FROM added
    )
    SELECT pg_notify($9, user_id::text) FROM added
"""


class NotificationStore:
    """Notifications."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def now(self) -> datetime:
        """Returns the time by the database's clock."""
        async with self._db.connection() as conn:
            now: datetime = await conn.fetchval("SELECT clock_timestamp()")
        return now

    async def add(
        self, conn: Connection, event_id: UUID, draft: Draft, channels: Sequence[Channel]
    ) -> None:
        """Writes a notification to be sent on `channels`, unless the event has one already.

        Who waits for it is told when the caller's transaction commits.
        """
        await conn.execute(
            _ADD,
            new_id(),
            event_id,
            draft.user_id,
            draft.order_id,
            draft.type,
            draft.title,
            draft.body,
            list(channels),
            ADDED,
        )

    async def page(
        self, user_id: UUID, *, order_id: UUID | None, before: UUID | None, size: int
    ) -> list[Notification]:
        """Returns a user's notifications, the newest first: those older than `before`.

        About one order only, if `order_id` is given.
        """
        async with self._db.connection() as conn:
            rows = await conn.fetch(_PAGE, user_id, order_id, before, size)
            return await _with_deliveries(conn, rows)

    async def since(self, user_id: UUID, since: datetime) -> list[Notification]:
        """Returns a user's notifications from `since` on, the first first."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_SINCE, user_id, since)
            return await _with_deliveries(conn, rows)


def draft_from_row(row: asyncpg.Record) -> Draft:
    """Returns what a notification says, from a row that has its columns."""
    return Draft(
        user_id=row["user_id"],
        order_id=row["order_id"],
        type=row["type"],
        title=row["title"],
        body=row["body"],
    )


async def _with_deliveries(conn: Connection, rows: Sequence[asyncpg.Record]) -> list[Notification]:
    deliveries: defaultdict[UUID, list[Delivery]] = defaultdict(list)
    for each in await conn.fetch(_DELIVERIES, [row["notification_id"] for row in rows]):
        deliveries[each["notification_id"]].append(_delivery(each))
    return [
        Notification(
            notification_id=row["notification_id"],
            draft=draft_from_row(row),
            deliveries=tuple(deliveries[row["notification_id"]]),
            create_time=row["create_time"],
        )
        for row in rows
    ]


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        channel=Channel(row["channel"]),
        state=DeliveryState(row["state"]),
        attempt_count=row["attempt_count"],
        update_time=row["update_time"],
    )
