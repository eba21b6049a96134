"""Payments whose operation was not answered: when the provider is asked about them again.

open ──▶ due after `resolve_after` ──▶ again, each time after twice the time, up to 30 s
after `patience`: hourly ──▶ after a day: never by itself; the reconciliation tells of it
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.mesh.database import Database

# As a subquery of the UPDATE it may be run once per row, and would lock up to the limit each time.
_CLAIM_DUE = """
    WITH due AS MATERIALIZED (
        SELECT payment_id FROM payments WHERE resolve_at <= clock_timestamp()
        ORDER BY resolve_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE payments p SET
        resolve_tries = resolve_tries + 1,
        resolve_at = clock_timestamp()
            + least($2::interval * power(2, least(resolve_tries, 16)), $3::interval)
    FROM due WHERE p.payment_id = due.payment_id
    RETURNING p.payment_id, update_time <= clock_timestamp() - $4::interval AS is_overdue
"""

# In the end it is left to the reconciliation: never due again by itself.
_PUT_OFF = """
    UPDATE payments SET resolve_at = CASE
        WHEN update_time > clock_timestamp() - $2::interval THEN clock_timestamp() + $3::interval
        ELSE 'infinity'
    END
    WHERE payment_id = $1 AND open_key IS NOT NULL
"""

_UNANSWERED = """
    SELECT count(*) AS count, count(*) FILTER (WHERE resolve_at = 'infinity') AS left_alone,
        coalesce(extract(epoch FROM clock_timestamp() - min(update_time)), 0)::float8 AS seconds
    FROM payments WHERE resolve_at IS NOT NULL
"""

_LONGEST_WAIT = timedelta(seconds=30)
_PUT_OFF_FOR = timedelta(hours=1)
_LEFT_ALONE_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A payment to be resolved; `is_overdue`: its operation has been open for too long."""

    payment_id: UUID
    is_overdue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Payments with an open operation: how many, and since how many seconds the oldest one.

    `left_alone`: how many of them are left to the reconciliation.
    """

    count: int
    left_alone: int
    seconds: float


class UnansweredStore:
    """Payments with an open operation.

    `resolve_after`: how long after it begins it is due; `patience`: how long it may be open.
    """

    def __init__(self, db: Database, *, resolve_after: timedelta, patience: timedelta) -> None:
        self._db = db
        self._resolve_after = resolve_after
        self._patience = patience

    async def claim_due(self, limit: int) -> list[Due]:
        """Returns payments whose operation should have been answered, and leases them.

        They are due again later, each time after twice the time.
        """
        async with self._db.connection() as conn:
            rows = await conn.fetch(
                _CLAIM_DUE, limit, self._resolve_after, _LONGEST_WAIT, self._patience
            )
        return [Due(**row) for row in rows]

    async def put_off(self, payment_id: UUID) -> None:
        """Has the open operation of a payment be due in an hour, and after a day never again.

        Whoever asks for the operation can bring it to its end all the same.
        """
        async with self._db.connection() as conn:
            await conn.execute(_PUT_OFF, payment_id, _LEFT_ALONE_AFTER, _PUT_OFF_FOR)

    async def figures(self) -> Unanswered:
        """Returns how many payments wait for the provider, and since when."""
        async with self._db.connection() as conn:
            (row,) = await conn.fetch(_UNANSWERED)
        return Unanswered(**row)
