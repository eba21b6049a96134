"""Who may work on an order.

An order that the saga has not ended is due at `next_attempt_at` unless somebody holds its lease.
Taking the lease makes the fencing token grow, and every write asks for the token it was read with:
a worker that lost its lease while it was waiting for another service can't write any more.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.mesh.database import Connection, Database
from services.mesh.wake_ups import Wake, wake_nobody
from services.order.domain import IN_FLIGHT, Actor, Order
from services.order.store._rows import DUE, ORDER, Lease, lease_from_row, tell, write_step

_TAKE = """
    SET fencing_token = o.fencing_token + 1, attempts = o.attempts + 1,
        lease_expires_at = clock_timestamp() + $2::interval
"""

_IS_FREE = "(o.lease_expires_at IS NULL OR o.lease_expires_at <= clock_timestamp())"

_ACQUIRE = f"""
    UPDATE orders o {_TAKE}
    WHERE o.order_id = $1 AND o.next_attempt_at IS NOT NULL AND {_IS_FREE}
    RETURNING {ORDER}
"""

# As a subquery of the UPDATE it may be run once per row, and would lock up to the limit each time.
_ACQUIRE_DUE = f"""
    WITH due AS MATERIALIZED (
        SELECT o.order_id FROM orders o
        WHERE o.next_attempt_at <= clock_timestamp() AND {_IS_FREE}
        ORDER BY o.next_attempt_at LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE orders o {_TAKE}
    FROM due WHERE o.order_id = due.order_id
    RETURNING {ORDER}
"""  # noqa: S608  # only our own names

_NEXT_DUE = """
    SELECT min(greatest(next_attempt_at, lease_expires_at)) - clock_timestamp()
    FROM orders WHERE next_attempt_at IS NOT NULL
"""

_RENEW = """
    UPDATE orders SET lease_expires_at = clock_timestamp() + $3::interval
    WHERE order_id = $1 AND fencing_token = $2
    RETURNING true
"""

_RELEASE = """
    UPDATE orders
    SET lease_expires_at = NULL, next_attempt_at = clock_timestamp() + $3::interval
    WHERE order_id = $1 AND fencing_token = $2 AND next_attempt_at IS NOT NULL
    RETURNING true
"""


Settled = Callable[[Connection, Order], Awaitable[None]]
"""Is told of an order that has nothing left to do, in the transaction of its last step."""


async def _tell_nobody(_conn: Connection, _order: Order) -> None:
    """Is told of orders where nobody wants to know."""


class LeaseLost(Exception):
    """Somebody else may work on the order now; what we meant to write was not written."""


class LeaseStore:
    """Leases of orders that last for `duration` after they were taken or a step was recorded.

    `settled` is called with each order that a step has brought to its end; `wake` after each commit
    that others wait for.
    """

    def __init__(
        self,
        db: Database,
        *,
        duration: timedelta,
        settled: Settled = _tell_nobody,
        wake: Wake = wake_nobody,
    ) -> None:
        self._db = db
        self._settled = settled
        self._wake = wake
        self.duration = duration

    async def acquire(self, order_id: UUID) -> Lease | None:
        """Takes the lease; None when somebody has it or nothing is left to do."""
        async with self._db.connection() as conn:
            row = await conn.fetchrow(_ACQUIRE, order_id, self.duration)
        return None if row is None else lease_from_row(row)

    async def acquire_due(self, limit: int) -> list[Lease]:
        """Takes the leases of up to `limit` orders that are due, those due longest first."""
        async with self._db.connection() as conn:
            rows = await conn.fetch(_ACQUIRE_DUE, limit, self.duration)
        return [lease_from_row(row) for row in rows]

    async def next_due_in(self) -> timedelta | None:
        """Returns the time until an order is due, below zero if one is; None if none will be."""
        async with self._db.connection() as conn:
            due: timedelta | None = await conn.fetchval(_NEXT_DUE)
        return due

    async def record(self, lease: Lease, after: Order) -> Lease:
        """Writes the step from the leased order to `after` and prolongs the lease.

        Raises LeaseLost.
        """
        async with self._db.transaction() as conn:
            row = await write_step(
                conn,
                lease.order,
                after,
                actor=Actor.SAGA,
                tokens=(lease.fencing_token, lease.fencing_token),
                lease=self.duration,
            )
            if row is None:
                raise LeaseLost
            written = replace(after, update_time=row["update_time"])
            if written.state not in IN_FLIGHT:
                await self._settled(conn, written)
        tell(self._wake, written.order_id)
        return Lease(
            order=written,
            fencing_token=lease.fencing_token,
            attempts=0,
            overdue=row["overdue"],
        )

    async def renew(self, lease: Lease) -> None:
        """Prolongs the lease in the middle of a step of several effects. Raises LeaseLost."""
        async with self._db.connection() as conn:
            renewed = await conn.fetchval(
                _RENEW, lease.order.order_id, lease.fencing_token, self.duration
            )
        if not renewed:
            raise LeaseLost

    async def release(self, lease: Lease, *, retry_in: timedelta = timedelta(0)) -> None:
        """Gives the order to whoever takes it up next, after `retry_in`.

        Nothing if the lease was lost, or if the last step was committed after all, though who
        wrote it was cut off and does not know.
        """
        async with self._db.connection() as conn:
            released = await conn.fetchval(
                _RELEASE, lease.order.order_id, lease.fencing_token, retry_in
            )
        if released:
            self._wake(DUE, "")
