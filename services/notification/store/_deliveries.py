"""What is to be sent, by whom and when.

PENDING ──claim──▶ PENDING, leased ──▶ SENT
   ▲                   │ failed, or the lease ended
   └── after a pause ──┴──▶ FAILED, the fifth time
"""

from datetime import timedelta

from services.mesh.database import Database
from services.notification.domain import TRIES, Channel, Dispatch
from services.notification.store._notifications import draft_from_row

_GIVE_UP = """
    UPDATE deliveries SET state = 'FAILED', update_time = clock_timestamp()
    WHERE state = 'PENDING' AND attempt_count >= $1 AND next_attempt_at <= clock_timestamp()
"""

_CLAIM = """
    WITH due AS (
        SELECT notification_id, channel FROM deliveries
        WHERE state = 'PENDING' AND next_attempt_at <= clock_timestamp() AND attempt_count < $3
        ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE deliveries d
        SET attempt_count = attempt_count + 1, next_attempt_at = clock_timestamp() + $2::interval
        FROM due
        WHERE d.notification_id = due.notification_id AND d.channel = due.channel
        RETURNING d.notification_id, d.channel, d.attempt_count
    )
    SELECT c.notification_id, c.channel, c.attempt_count, n.user_id, n.order_id, n.type, n.title,
        n.body
    FROM claimed c JOIN notifications n USING (notification_id)
"""

_PENDING = """
    SELECT count(*) AS count,
        coalesce(extract(epoch FROM clock_timestamp() - min(n.create_time)), 0)::float8 AS seconds
    FROM deliveries d JOIN notifications n USING (notification_id)
    WHERE d.state = 'PENDING'
"""

_SENT = """
    UPDATE deliveries SET state = 'SENT', last_error = '', update_time = clock_timestamp()
    WHERE notification_id = $1 AND channel = $2 AND state = 'PENDING'
"""

_NOT_SENT = """
    UPDATE deliveries SET
        state = CASE WHEN attempt_count < $4 THEN 'PENDING' ELSE 'FAILED' END,
        next_attempt_at = clock_timestamp() + $5::interval * power(2, attempt_count - 1),
        last_error = $6,
        update_time = clock_timestamp()
    WHERE notification_id = $1 AND channel = $2 AND attempt_count = $3 AND state = 'PENDING'
"""


class DeliveryStore:
    """Deliveries. `lease`: how long a sending may take; `retry`: the pause after the first one."""

    def __init__(self, db: Database, *, lease: timedelta, retry: timedelta) -> None:
        self._db = db
        self._lease = lease
        self._retry = retry

    async def claim_due(self, limit: int) -> list[Dispatch]:
        """Returns what is to be sent now, and leases it. What was tried often enough is given up.

        A process that dies while it sends has used up a try.
        """
        async with self._db.connection() as conn:
            await conn.execute(_GIVE_UP, TRIES)
            rows = await conn.fetch(_CLAIM, limit, self._lease, TRIES)
        return [
            Dispatch(
                notification_id=row["notification_id"],
                draft=draft_from_row(row),
                channel=Channel(row["channel"]),
                attempt=row["attempt_count"],
            )
            for row in rows
        ]

    async def pending(self) -> tuple[int, float]:
        """Returns how many deliveries are to be made, and the age in seconds of the oldest."""
        async with self._db.connection() as conn:
            (row,) = await conn.fetch(_PENDING)
        return row["count"], row["seconds"]

    async def sent(self, dispatch: Dispatch) -> None:
        """Writes down that the channel took it."""
        async with self._db.connection() as conn:
            await conn.execute(_SENT, dispatch.notification_id, dispatch.channel)

    async def not_sent(self, dispatch: Dispatch, error: str) -> None:
        """Writes down that it failed: it is due again later, or given up."""
        async with self._db.connection() as conn:
            await conn.execute(
                _NOT_SENT,
                dispatch.notification_id,
                dispatch.channel,
                dispatch.attempt,
                TRIES,
                self._retry,
                error,
            )
