"""What is written down, as a reconciliation compares it."""

from collections.abc import AsyncGenerator, Collection
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.mesh.amount import Amount
from services.mesh.database import Database
from services.payment.domain import (
    HeldMoney,
    PaymentState,
    RecordedOperation,
    TransactionOutcome,
    TransactionType,
)

_BATCH = 500
_FIRST = UUID(int=0)

_OPERATIONS = """
    SELECT t.provider_key, t.payment_id, p.order_id, p.currency, t.type,
        max(t.amount_minor) AS amount_minor, min(t.create_time) AS begin_time,
        (array_agg(t.outcome ORDER BY t.position DESC))[1] AS outcome
    FROM transactions t JOIN payments p USING (payment_id)
    WHERE t.provider_key = ANY($1)
    GROUP BY t.provider_key, t.payment_id, p.order_id, p.currency, t.type
"""

# Both go by time, as their indexes do: each batch reads no more than it returns.
_DONE = """
    SELECT create_time, position, provider_key FROM transactions
    WHERE outcome = 'SUCCEEDED' AND create_time <= $1 AND (create_time, position) > ($2, $3)
    ORDER BY create_time, position LIMIT $4
"""

_HELD = """
    SELECT payment_id, order_id, state, currency, amount_minor, update_time FROM payments
    WHERE state IN ('AUTHORIZED', 'CAPTURED') AND update_time <= $1
        AND (update_time, payment_id) > ($2, $3)
    ORDER BY update_time, payment_id LIMIT $4
"""

# What is to be resolved is what has an open key; the one has an index.
_UNANSWERED = "SELECT open_key FROM payments WHERE resolve_at IS NOT NULL AND update_time <= $1"


class RecordStore:
    """Payments and operations, as they are compared with what others say."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def operations(self, keys: Collection[str]) -> dict[str, RecordedOperation]:
        """Returns those of the operations that are written down, by their provider keys."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_OPERATIONS, list(keys))
        return {row["provider_key"]: _operation(row) for row in rows}

    async def done(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[dict[str, RecordedOperation], None]:
        """Yields the operations that were answered to be done in a time, some at a time."""
        last = (since, 0)
        while rows := await self._fetch(_DONE, until, *last, _BATCH):
            yield await self.operations([row["provider_key"] for row in rows])
            last = (rows[-1]["create_time"], rows[-1]["position"])

    async def unanswered(self, *, at: datetime, since: timedelta) -> list[RecordedOperation]:
        """Returns the operations that have been open for as long as `since`, at a time."""
        rows = await self._fetch(_UNANSWERED, at - since)
        return list((await self.operations([row["open_key"] for row in rows])).values())

    async def held(self, since: datetime, until: datetime) -> AsyncGenerator[list[HeldMoney], None]:
        """Yields what is set aside or taken, and has been since a time, some at a time."""
        last = (since, _FIRST)
        while rows := await self._fetch(_HELD, until, *last, _BATCH):
            yield [_held(row) for row in rows]
            last = (rows[-1]["update_time"], rows[-1]["payment_id"])

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._db.connection() as conn:
            return await conn.fetch(query, *arguments)


def _operation(row: asyncpg.Record) -> RecordedOperation:
    return RecordedOperation(
        key=row["provider_key"],
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        type=TransactionType(row["type"]),
        amount=Amount(currency=row["currency"], minor=row["amount_minor"]),
        outcome=TransactionOutcome(row["outcome"]),
        begin_time=row["begin_time"],
    )


def _held(row: asyncpg.Record) -> HeldMoney:
    return HeldMoney(
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        state=PaymentState(row["state"]),
        amount=Amount(currency=row["currency"], minor=row["amount_minor"]),
        update_time=row["update_time"],
    )
