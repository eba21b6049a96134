"""All queries on payments and transactions.

A payment is changed under the lock of its row, by a function that knows the rules and no I/O:

    await store.change(payment_id, lambda payment, at: payment.capture(at=at))

No transaction is open while the provider is asked. What is PENDING is found again by
`UnansweredStore`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.mesh.amount import Amount
from services.mesh.database import Connection, Database
from services.mesh.ids import new_id
from services.payment import domain
from services.payment.domain import (
    Payment,
    PaymentNotFound,
    PaymentState,
    StateConflict,
    Transaction,
    TransactionOutcome,
    TransactionType,
)

Verb = Callable[[Payment, datetime], Payment]
"""Makes a payment what it is to be, at a time by the database's clock."""

_LOAD = """
    SELECT p.payment_id, p.order_id, p.user_id, p.state, p.currency, p.amount_minor,
        p.captured_minor, p.refunded_minor, p.payment_token, p.open_key, p.create_time,
        p.update_time, clock_timestamp() AS now, t.transaction_id, t.provider_key, t.type,
        t.outcome, t.amount_minor AS transaction_minor, t.provider_reference,
        t.create_time AS transaction_time
    FROM payments p LEFT JOIN transactions t USING (payment_id)
    WHERE {condition}
    ORDER BY t.position
"""
_LOAD_PAYMENT = _LOAD.format(condition="p.payment_id = $1")
_LOAD_ORDER = _LOAD.format(condition="p.order_id = $1")
_OWN = "AND p.user_id IS NOT NULL AND ($2::uuid IS NULL OR p.user_id = $2)"
_LOAD_OWN_PAYMENT = _LOAD.format(condition=f"p.payment_id = $1 {_OWN}")
_LOAD_OWN_ORDER = _LOAD.format(condition=f"p.order_id = $1 {_OWN}")

_INSERT = """
    INSERT INTO payments (payment_id, order_id, user_id, state, currency, amount_minor,
        payment_token, open_key, resolve_at, create_time, update_time)
    VALUES ($1, $2, $3, 'UNKNOWN', $4, $5, $6, $7, $8::timestamptz + $9, $8, $8)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING true
"""

_INSERT_VOIDED = """
    INSERT INTO payments (payment_id, order_id, state) VALUES ($1, $2, 'VOIDED')
    ON CONFLICT (order_id) DO NOTHING
"""

_UPDATE = """
    UPDATE payments SET state = $2, captured_minor = $3, refunded_minor = $4, payment_token = $5,
        open_key = $6, update_time = $7,
        resolve_at = CASE
            WHEN $6::text IS NULL THEN NULL
            WHEN open_key = $6 THEN resolve_at
            ELSE clock_timestamp() + $8::interval
        END,
        resolve_tries = CASE WHEN open_key = $6 THEN resolve_tries ELSE 0 END
    WHERE payment_id = $1
"""

_INSERT_TRANSACTION = """
    INSERT INTO transactions (transaction_id, payment_id, provider_key, type, outcome, amount_minor,
        provider_reference, create_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class PaymentStore:
    """Payments. `resolve_after`: how long after an operation begins it is due to be resolved."""

    def __init__(self, db: Database, *, resolve_after: timedelta) -> None:
        self._db = db
        self._resolve_after = resolve_after

    async def now(self) -> datetime:
        """Returns the time by the database's clock."""
        async with self._db.connection() as conn:
            return await _now(conn)

    async def begin(
        self, *, order_id: UUID, user_id: UUID, amount: Amount, payment_token: str
    ) -> Payment:
        """Returns a new payment with its authorization open, or the order's payment if it has one.

        Raises StateConflict when the order was voided before it had a payment.
        """
        async with self._db.transaction() as conn:
            payment = domain.begun(
                payment_id=new_id(),
                order_id=order_id,
                user_id=user_id,
                amount=amount,
                payment_token=payment_token,
                at=await _now(conn),
            )
            if await self._insert(conn, payment):
                return payment
            existing, _ = await _load(conn, _LOAD_ORDER, order_id)
        if existing is None:
            message = "the order was voided before it was paid for"
            raise StateConflict(message, state=f"PAYMENT_STATE_{PaymentState.VOIDED}")
        return existing

    async def void_order(self, order_id: UUID) -> Payment | None:
        """Returns the order's payment; if there is none, sees to it that there never will be."""
        async with self._db.transaction() as conn:
            await conn.execute(_INSERT_VOIDED, new_id(), order_id)
            payment, _ = await _load(conn, _LOAD_ORDER, order_id)
        return payment

    async def change(self, payment_id: UUID, verb: Verb) -> Payment:
        """Returns the payment as `verb` has made it.

        Raises PaymentNotFound and what `verb` raises.
        """
        async with self._db.transaction() as conn:
            await conn.execute("SELECT FROM payments WHERE payment_id = $1 FOR UPDATE", payment_id)
            payment, now = await _load(conn, _LOAD_PAYMENT, payment_id)
            if payment is None:
                raise _not_found()
            changed = verb(payment, now)
            if changed is not payment:
                await self._update(conn, payment, changed)
        return changed

    async def get(self, payment_id: UUID, *, visible_to: UUID | None = None) -> Payment:
        """Returns a payment: of `visible_to` only, if one is given. Raises PaymentNotFound."""
        async with self._db.connection() as conn:
            payment, _ = await _load(conn, _LOAD_OWN_PAYMENT, payment_id, visible_to)
        if payment is None:
            raise _not_found()
        return payment

    async def of_order(self, order_id: UUID, *, visible_to: UUID | None) -> Payment | None:
        """Returns the payment of an order: of `visible_to` only, if one is given."""
        async with self._db.connection() as conn:
            payment, _ = await _load(conn, _LOAD_OWN_ORDER, order_id, visible_to)
        return payment

    async def _insert(self, conn: Connection, payment: Payment) -> bool:
        """Returns False, and writes nothing, when the order has a payment."""
        inserted = await conn.fetchval(
            _INSERT,
            payment.payment_id,
            payment.order_id,
            payment.user_id,
            payment.amount.currency,
            payment.amount.minor,
            payment.payment_token,
            payment.open_key,
            payment.create_time,
            self._resolve_after,
        )
        if inserted:
            await _insert_transactions(conn, payment.payment_id, payment.transactions)
        return bool(inserted)

    async def _update(self, conn: Connection, before: Payment, after: Payment) -> None:
        await conn.execute(
            _UPDATE,
            after.payment_id,
            after.state,
            after.captured.minor,
            after.refunded.minor,
            after.payment_token,
            after.open_key,
            after.update_time,
            self._resolve_after,
        )
        new = after.transactions[len(before.transactions) :]
        await _insert_transactions(conn, after.payment_id, new)


async def _now(conn: Connection) -> datetime:
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now


async def _insert_transactions(
    conn: Connection, payment_id: UUID, transactions: Sequence[Transaction]
) -> None:
    for each in transactions:
        await conn.execute(
            _INSERT_TRANSACTION,
            each.transaction_id,
            payment_id,
            each.provider_key,
            each.type,
            each.outcome,
            each.amount.minor,
            each.provider_reference,
            each.create_time,
        )


async def _load(
    conn: Connection, query: str, *arguments: UUID | None
) -> tuple[Payment | None, datetime]:
    """Returns a payment, None if there is none or nothing but a voided order, and the time."""
    rows = await conn.fetch(query, *arguments)
    if not rows or rows[0]["user_id"] is None:
        return None, await _now(conn)
    return _payment(rows), rows[0]["now"]


def _payment(rows: Sequence[asyncpg.Record]) -> Payment:
    row = rows[0]

    def amount(minor: int) -> Amount:
        return Amount(currency=row["currency"], minor=minor)

    return Payment(
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        user_id=row["user_id"],
        state=PaymentState(row["state"]),
        amount=amount(row["amount_minor"]),
        captured=amount(row["captured_minor"]),
        refunded=amount(row["refunded_minor"]),
        payment_token=row["payment_token"],
        open_key=row["open_key"],
        transactions=tuple(
            Transaction(
                transaction_id=each["transaction_id"],
                provider_key=each["provider_key"],
                type=TransactionType(each["type"]),
                outcome=TransactionOutcome(each["outcome"]),
                amount=amount(each["transaction_minor"]),
                provider_reference=each["provider_reference"],
                create_time=each["transaction_time"],
            )
            for each in rows
        ),
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


def _not_found() -> PaymentNotFound:
    return PaymentNotFound("there is no such payment")
