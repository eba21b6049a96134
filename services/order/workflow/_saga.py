"""The saga: from an order that was written down to one that is paid for, or undone.

| state              | effect                            | done                | refused    |
|--------------------|-----------------------------------|---------------------|------------|
| PENDING            | reserve stock                     | STOCK_RESERVED      | CANCELLING |
| STOCK_RESERVED     | authorize payment                 | PAYMENT_AUTHORIZED  | CANCELLING |
| PAYMENT_AUTHORIZED | commit stock                      | STOCK_COMMITTED     | CANCELLING |
| STOCK_COMMITTED    | capture payment                   | PAYMENT_CAPTURED    | CANCELLING |
| PAYMENT_CAPTURED   | none                              | CONFIRMED           |            |
| CANCELLING         | void or refund, then release      | as its reason says  | the same   |

A state says that its effect may have been asked for, and the next one that it was done. Every
effect may be repeated, so whoever takes the order up asks again and goes on from the answer. An
effect without an answer is neither taken for done nor undone: it is repeated under the same key,
until the order is overdue. Undoing is safe at any moment, since product and payment then refuse
what may still be on its way. If the provider refuses to give the money back, the order ends all the
same and says so (`refund_refused`); payment's reconciliation and the staff see to the rest.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import Counter

from services.mesh import failpoints
from services.mesh.errors import DomainError
from services.order.clients import Payments, RefundRefused, Refused, Stock, Unanswered
from services.order.domain import IN_FLIGHT, UNPAID, Order, Reason, State
from services.order.store import Lease, LeaseLost, LeaseStore

_log = structlog.get_logger(__name__)

_SETTLED = Counter("souk_orders_settled_total", "Orders the saga has ended, by state.", ["state"])
_REFUND_REFUSED = Counter(
    "souk_orders_refund_refused_total", "Orders that ended without their money being given back."
)

_FIRST_RETRY = timedelta(milliseconds=200)
_MOST_DOUBLINGS = 16
_RELEASE_SECONDS = 1


class Saga:
    """Sees orders through. `retry_most`: the longest pause before an effect is asked for again."""

    def __init__(
        self, *, leases: LeaseStore, stock: Stock, payments: Payments, retry_most: timedelta
    ) -> None:
        self._leases = leases
        self._stock = stock
        self._payments = payments
        self._retry_most = retry_most
        self._steps: dict[State, Callable[[Lease], Awaitable[Order]]] = {
            State.PENDING: self._reserve_stock,
            State.STOCK_RESERVED: self._authorize_payment,
            State.PAYMENT_AUTHORIZED: self._commit_stock,
            State.STOCK_COMMITTED: self._capture_payment,
            State.PAYMENT_CAPTURED: self._confirm,
            State.CANCELLING: self._undo,
        }

    async def run(self, lease: Lease) -> Order:
        """Takes step after step until the order is settled, and returns it as far as it came.

        Ends early, and leaves the rest to whoever takes the order up next, when an effect is not
        answered, when the lease is lost, and when it is cancelled.
        """
        try:
            while lease.order.state in IN_FLIGHT:
                lease = await self._step(lease)
        except Unanswered as unanswered:
            retry_in = self._pause(lease.attempts)
            _log.warning(
                "order waits for an answer",
                order_id=str(lease.order.order_id),
                state=lease.order.state,
                unanswered=str(unanswered),
                retry_seconds=retry_in.total_seconds(),
            )
            await self._leases.release(lease, retry_in=retry_in)
        except LeaseLost:
            _log.info("order was taken over", order_id=str(lease.order.order_id))
        except asyncio.CancelledError:
            # If this fails, the lease runs out.
            with contextlib.suppress(DomainError, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._leases.release(lease)
            raise
        return lease.order

    async def _step(self, lease: Lease) -> Lease:
        order = lease.order
        if lease.overdue and order.state in UNPAID:
            return await self._leases.record(lease, order.undo(Reason.TIMED_OUT))
        try:
            await failpoints.reach("order.before_effect", order.state)
            after = await self._steps[order.state](lease)
            await failpoints.reach("order.after_effect", order.state)
        except Refused as refused:
            after = order.undo(refused.reason, short_product_id=refused.product_id)
        recorded = await self._leases.record(lease, after)
        if after.state not in IN_FLIGHT:
            _SETTLED.labels(after.state).inc()
        await failpoints.reach("order.after_record", after.state)
        return recorded

    async def _reserve_stock(self, lease: Lease) -> Order:
        await self._stock.reserve(lease.order)
        return lease.order.stock_reserved()

    async def _authorize_payment(self, lease: Lease) -> Order:
        return lease.order.payment_authorized(await self._payments.authorize(lease.order))

    async def _commit_stock(self, lease: Lease) -> Order:
        await self._stock.commit(lease.order)
        return lease.order.stock_committed()

    async def _capture_payment(self, lease: Lease) -> Order:
        await self._payments.capture(lease.order)
        return lease.order.payment_captured()

    async def _confirm(self, lease: Lease) -> Order:
        return lease.order.confirmed()

    async def _undo(self, lease: Lease) -> Order:
        """Give back the money, then the stock; each call gets the whole of a lease."""
        refund_refused = False
        try:
            money_returned = lease.order.may_be_paid and await self._give_back(lease)
        except RefundRefused as refused:
            _log.error("refund refused", order_id=str(lease.order.order_id), refusal=str(refused))
            money_returned, refund_refused = False, True
            _REFUND_REFUSED.inc()
        await self._leases.renew(lease)
        await self._stock.release(lease.order)
        return lease.order.undone(money_returned=money_returned, refund_refused=refund_refused)

    async def _give_back(self, lease: Lease) -> bool:
        """Free the money set aside, or give back the money taken; return whether it was taken."""
        order = lease.order
        payment_id = order.payment_id if order.is_paid else await self._payments.void(order)
        if payment_id is None:
            return False
        await self._leases.renew(lease)
        await self._payments.refund(order, payment_id)
        return True

    def _pause(self, attempts: int) -> timedelta:
        doublings = min(attempts, _MOST_DOUBLINGS)
        return min(_FIRST_RETRY * (1 << doublings), self._retry_most)
