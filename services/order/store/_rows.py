"""Orders as rows, and the one way in which a row changes its state."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from services.mesh import outbox
from services.mesh.amount import Amount
from services.mesh.database import Connection
from services.mesh.wake_ups import Wake
from services.order import convert
from services.order.domain import EVENT_TYPES, IN_FLIGHT, Actor, Line, Order, Reason, State

CHANGED = "order_changed"
"""The PostgreSQL channel that tells of every step; the payload is the order's id."""

DUE = "order_due"
"""The PostgreSQL channel that tells that an order waits for a worker, now or soon."""

ORDER = """
    o.order_id, o.user_id, o.state, o.currency, o.shipping_address, o.payment_token, o.payment_id,
    o.reason, o.short_product_id, o.undone_from, o.refund_refused, o.sequence, o.request_id,
    o.create_time, o.update_time,
    o.fencing_token, o.attempts, o.pay_by <= clock_timestamp() AS overdue,
    (SELECT array_agg(l ORDER BY l.position) FROM order_lines l WHERE l.order_id = o.order_id)
        AS lines
"""
"""The columns of an order `o`, and of its lease."""

_STEP = """
    WITH changed AS (
        UPDATE orders
        SET state = $4, payment_token = $5, payment_id = $6, reason = $7, short_product_id = $8,
            undone_from = $9, sequence = $10, refund_refused = $15, attempts = 0,
            update_time = clock_timestamp(), fencing_token = $3,
            next_attempt_at = CASE WHEN $11 THEN clock_timestamp() END,
            lease_expires_at = clock_timestamp() + $12::interval
        WHERE order_id = $1 AND fencing_token = $2
        RETURNING *
    ), stepped AS (
        INSERT INTO order_history
            (order_id, sequence, from_state, to_state, reason, actor, occurred_at)
        SELECT order_id, sequence, $13, state, reason, $14, update_time FROM changed
    )
    SELECT update_time, pay_by <= clock_timestamp() AS overdue FROM changed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An order and the right to change it.

    `attempts`: how often it was taken up since its last step. `overdue`: the time for it to be paid
    is over.
    """

    order: Order
    fencing_token: int
    attempts: int
    overdue: bool


def order_from_row(row: asyncpg.Record) -> Order:
    """Returns the order that a row with the columns `ORDER` holds."""
    return Order(
        order_id=row["order_id"],
        user_id=row["user_id"],
        lines=tuple(_line(line, row["currency"]) for line in row["lines"]),
        state=State(row["state"]),
        shipping_address=row["shipping_address"],
        payment_token=row["payment_token"],
        payment_id=row["payment_id"],
        reason=row["reason"] and Reason(row["reason"]),
        short_product_id=row["short_product_id"],
        undone_from=row["undone_from"] and State(row["undone_from"]),
        refund_refused=row["refund_refused"],
        sequence=row["sequence"],
        request_id=row["request_id"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


def lease_from_row(row: asyncpg.Record) -> Lease:
    """Returns the lease that a row with the columns `ORDER` holds."""
    return Lease(
        order=order_from_row(row),
        fencing_token=row["fencing_token"],
        attempts=row["attempts"],
        overdue=row["overdue"],
    )


async def write_step(
    conn: Connection,
    before: Order,
    after: Order,
    *,
    actor: Actor,
    tokens: tuple[int, int],
    lease: timedelta | None,
) -> asyncpg.Record | None:
    """Writes the state, the history and the event of one step; to be called in a transaction.

    `tokens`: the fencing token the row must have, and the one it gets. `lease`: how long the writer
    goes on working on it. Returns `update_time` and `overdue`; None, and nothing is written, when
    the token is another.
    """
    is_in_flight = after.state in IN_FLIGHT
    row = await conn.fetchrow(
        _STEP,
        before.order_id,
        *tokens,
        after.state,
        after.payment_token,
        after.payment_id,
        after.reason,
        after.short_product_id,
        after.undone_from,
        after.sequence,
        is_in_flight,
        lease if is_in_flight else None,
        before.state,
        actor,
        after.refund_refused,
    )
    if row is not None:
        await append_event(conn, after)
    return row


def tell(wake: Wake, order_id: UUID) -> None:
    """Wakes who waits for a change of an order, and the relay; to be called after the commit."""
    wake(CHANGED, str(order_id))
    wake(outbox.CHANNEL, "")


async def append_event(conn: Connection, order: Order) -> None:
    """Appends the event that tells of the order's state, if others are told of it."""
    event_type = EVENT_TYPES.get(order.state)
    if event_type is not None:
        payload = convert.event_from_order(order)
        await outbox.append(conn, type=event_type, aggregate_id=order.order_id, payload=payload)


def _line(row: asyncpg.Record, currency: str) -> Line:
    return Line(
        product_id=row["product_id"],
        sku=row["sku"],
        title=row["title"],
        quantity=row["quantity"],
        unit_price=Amount(currency=currency, minor=row["unit_price_minor"]),
    )
