"""What people and other services ask for.

`visible_to` is part of each query: the user whose orders count, None for anybody's.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

import asyncpg

from services.mesh import audit
from services.mesh.database import Connection, Database
from services.mesh.wake_ups import Wake, wake_nobody
from services.order.domain import (
    Actor,
    Line,
    Order,
    OrderNotFound,
    Reason,
    State,
    Step,
    total,
)
from services.order.store._rows import (
    ORDER,
    Lease,
    append_event,
    lease_from_row,
    order_from_row,
    tell,
    write_step,
)

_INSERT = """
    INSERT INTO orders
        (order_id, user_id, state, currency, total_minor, shipping_address, payment_token, sequence,
         pay_by, next_attempt_at, lease_expires_at, request_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 1,
        clock_timestamp() + $8::interval, clock_timestamp(), clock_timestamp() + $9::interval, $10)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING true
"""

_INSERT_LINES = """
    INSERT INTO order_lines
        (order_id, position, product_id, sku, title, quantity, unit_price_minor)
    SELECT $1, line.* FROM
        unnest($2::integer[], $3::uuid[], $4::text[], $5::text[], $6::integer[], $7::bigint[])
            AS line
"""

_INSERT_FIRST_STEP = """
    INSERT INTO order_history (order_id, sequence, to_state, actor, occurred_at)
    SELECT order_id, sequence, state, $2, create_time FROM orders WHERE order_id = $1
"""

_GET = f"""
    SELECT {ORDER} FROM orders o
    WHERE o.order_id = $1 AND ($2::uuid IS NULL OR o.user_id = $2)
"""  # noqa: S608  # only our own column names

_STEPS = """
    SELECT sequence, from_state, to_state, reason, actor, occurred_at FROM order_history
    WHERE order_id = $1 AND sequence > $2
    ORDER BY sequence LIMIT $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order to be placed; the fields are those of `Order`."""

    order_id: UUID
    user_id: UUID
    lines: tuple[Line, ...]
    shipping_address: str | None = field(default=None, repr=False)
    payment_token: str = field(repr=False)
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last order of a page; its text is what `from_text` reads."""

    create_time: datetime
    order_id: UUID

    @classmethod
    def of(cls, order: Order) -> Self:
        """Returns the cursor behind `order`."""
        return cls(create_time=order.create_time, order_id=order.order_id)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Returns the cursor that `text` was made from; raises ValueError."""
        create_time, _, order_id = text.partition(" ")
        return cls(
            create_time=datetime.fromisoformat(create_time).astimezone(UTC),
            order_id=UUID(order_id),
        )

    def __str__(self) -> str:
        return f"{self.create_time.isoformat()} {self.order_id}"


class OrderStore:
    """Orders. `pay_within`: when they are overdue. `wake` is called after each commit."""

    def __init__(self, db: Database, *, pay_within: timedelta, wake: Wake = wake_nobody) -> None:
        self._db = db
        self._wake = wake
        self._pay_within = pay_within

    async def place(self, new: NewOrder, *, lease: timedelta) -> Lease | None:
        """Adds an order and its OrderCreated, and returns it leased to the caller.

        Returns None, and changes nothing, when an order with this id is there. Raises what `total`
        raises.
        """
        sum_of_lines = total(new.lines)
        async with self._db.transaction() as conn:
            is_new = await conn.fetchval(
                _INSERT,
                new.order_id,
                new.user_id,
                State.PENDING,
                sum_of_lines.currency,
                sum_of_lines.minor,
                new.shipping_address,
                new.payment_token,
                self._pay_within,
                lease,
                new.request_id,
            )
            if not is_new:
                return None
            await _insert_lines(conn, new)
            await conn.execute(_INSERT_FIRST_STEP, new.order_id, Actor.CUSTOMER)
            placed = lease_from_row(await _get(conn, new.order_id, None))
            await append_event(conn, placed.order)
        tell(self._wake, new.order_id)
        return placed

    async def get(self, order_id: UUID, *, visible_to: UUID | None) -> Order:
        """Returns an order. Raises OrderNotFound."""
        async with self._db.connection() as conn:
            return order_from_row(await _get(conn, order_id, visible_to))

    async def exists(self, order_id: UUID) -> bool:
        """Returns whether an order was written down."""
        async with self._db.connection() as conn:
            found = await conn.fetchval("SELECT true FROM orders WHERE order_id = $1", order_id)
        return bool(found)

    async def page(
        self,
        *,
        visible_to: UUID | None,
        states: Collection[State],
        after: Cursor | None,
        size: int,
    ) -> list[Order]:
        """Returns up to `size` orders in one of `states` (empty: any), the newest first."""
        arguments: list[object] = []
        conditions = ["true"]
        if visible_to is not None:
            arguments.append(visible_to)
            conditions.append(f"o.user_id = ${len(arguments)}")
        if after is not None:
            arguments += [after.create_time, after.order_id]
            conditions.append(
                f"(o.create_time, o.order_id) < (${len(arguments) - 1}, ${len(arguments)})"
            )
        each_state = ""
        if states:
            # State by state: among all orders the last of a rare state may be millions back.
            arguments.append(sorted(set(states)))
            each_state = f"unnest(${len(arguments)}::text[]) AS wanted (state) CROSS JOIN"
            conditions.append("o.state = wanted.state")
        newest = f"ORDER BY o.create_time DESC, o.order_id DESC LIMIT {size:d}"
        found = f"SELECT * FROM orders o WHERE {' AND '.join(conditions)} {newest}"  # noqa: S608  # only our own names; values are arguments
        async with self._db.connection() as conn:
            rows = await conn.fetch(
                f"SELECT {ORDER} FROM {each_state} LATERAL ({found}) AS o {newest}",  # noqa: S608  # likewise
                *arguments,
            )
        return [order_from_row(row) for row in rows]

    async def steps(
        self, order_id: UUID, *, visible_to: UUID | None, after: int, size: int
    ) -> list[Step]:
        """Returns up to `size` steps that follow the one counted `after`. Raises OrderNotFound."""
        async with self._db.connection() as conn:
            await _get(conn, order_id, visible_to)
            rows = await conn.fetch(_STEPS, order_id, after, size)
        return [
            Step(
                sequence=row["sequence"],
                from_state=row["from_state"] and State(row["from_state"]),
                to_state=State(row["to_state"]),
                reason=row["reason"] and Reason(row["reason"]),
                actor=Actor(row["actor"]),
                occurred_at=row["occurred_at"],
            )
            for row in rows
        ]

    async def change(
        self,
        order_id: UUID,
        verb: Callable[[Order], Order],
        *,
        visible_to: UUID | None,
        actor: Actor,
    ) -> Order:
        """Returns the order as `verb` makes it; one that `verb` returns as it is stays as it is.

        Whoever works on the order loses the lease. Raises OrderNotFound and what `verb` raises.
        """
        async with self._db.transaction() as conn:
            row = await _get(conn, order_id, visible_to, lock=True)
            before = order_from_row(row)
            after = verb(before)
            if after is before:
                return before
            token = row["fencing_token"]
            written = await write_step(
                conn, before, after, actor=actor, tokens=(token, token + 1), lease=None
            )
            if actor is not Actor.SAGA:
                await audit.record(conn, resource=f"orders/{order_id}")
        tell(self._wake, order_id)
        return after if written is None else replace(after, update_time=written["update_time"])


async def _get(
    conn: Connection, order_id: UUID, visible_to: UUID | None, *, lock: bool = False
) -> asyncpg.Record:
    row = await conn.fetchrow(_GET + "FOR UPDATE OF o" * lock, order_id, visible_to)
    if row is None:
        raise OrderNotFound("there is no such order")
    return row


async def _insert_lines(conn: Connection, new: NewOrder) -> None:
    await conn.execute(
        _INSERT_LINES,
        new.order_id,
        list(range(1, len(new.lines) + 1)),
        [line.product_id for line in new.lines],
        [line.sku for line in new.lines],
        [line.title for line in new.lines],
        [line.quantity for line in new.lines],
        [line.unit_price.minor for line in new.lines],
    )
