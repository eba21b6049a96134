"""What the payment service does by itself: it resolves payments, and reconciles them once a day."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Gauge

from services.mesh import backoff
from services.mesh.errors import DomainError
from services.payment.domain import DiscrepancyType, Payment
from services.payment.store import DiscrepancyStore, Due, UnansweredStore
from services.payment.workflow import Payments, Reconciliation

_log = structlog.get_logger(__name__)

_UNANSWERED = Gauge("souk_payments_unanswered", "Payments whose operation has no answer yet.")
_UNANSWERED_SECONDS = Gauge(
    "souk_payments_unanswered_seconds", "How long the oldest of them has been without one."
)
_LEFT_ALONE = Gauge(
    "souk_payments_left_to_reconciliation", "Those of them that are not asked about any more."
)
_DISCREPANCIES = Gauge("souk_payment_discrepancies", "Open discrepancies.", ["type"])
_RECONCILED = Gauge(
    "souk_payments_reconciled_timestamp_seconds", "When the last whole reconciliation began."
)

_BATCH = 8


class Resolver:
    """Looks for unanswered operations every `interval`. Several processes may do so at once."""

    def __init__(
        self, *, unanswered: UnansweredStore, payments: Payments, interval: timedelta
    ) -> None:
        self._unanswered = unanswered
        self._payments = payments
        self._interval = interval

    async def run(self) -> None:
        """Resolves payments until cancelled, through every outage of the database."""
        await backoff.repeat(self._resolve_due, despite=(DomainError,), name="resolver")

    async def _resolve_due(self) -> None:
        while True:
            while due := await self._unanswered.claim_due(_BATCH):
                async with asyncio.TaskGroup() as tasks:
                    for each in due:
                        tasks.create_task(self._resolve(each))
            await self._measure()
            await asyncio.sleep(self._interval.total_seconds())

    async def _resolve(self, due: Due) -> None:
        ask = self._give_up if due.is_overdue else self._payments.resolve
        payment_id = str(due.payment_id)
        try:
            payment = await ask(due.payment_id)
        except DomainError as error:
            _log.warning("payment unresolved", payment_id=payment_id, error=error.message)
        except Exception:  # noqa: BLE001 - a payment that fails must not keep the others waiting
            _log.exception("payment can't be resolved", payment_id=payment_id)
        else:
            _log.info("payment resolved", payment_id=payment_id, state=payment.state)

    async def _give_up(self, payment_id: UUID) -> Payment:
        try:
            return await self._payments.give_up(payment_id)
        except DomainError:
            await self._unanswered.put_off(payment_id)
            raise

    async def _measure(self) -> None:
        unanswered = await self._unanswered.figures()
        _UNANSWERED.set(unanswered.count)
        _UNANSWERED_SECONDS.set(unanswered.seconds)
        _LEFT_ALONE.set(unanswered.left_alone)


class Reconciler:
    """Reconciles `every` so often, by the database's clock; one of all processes does.

    `poll`: how often it is looked whether it is time.
    """

    def __init__(
        self,
        *,
        discrepancies: DiscrepancyStore,
        reconciliation: Reconciliation,
        every: timedelta,
        poll: timedelta,
    ) -> None:
        self._discrepancies = discrepancies
        self._reconciliation = reconciliation
        self._every = every
        self._poll_seconds = poll.total_seconds()

    async def run(self) -> None:
        """Reconciles until cancelled; one that fails is tried again at the next look."""
        while True:
            try:
                await self._look()
            except DomainError as error:
                _log.warning("reconciliation failed", reason=error.reason, error=error.message)
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> None:
        if await self._discrepancies.is_due(self._every):
            summary = await self._reconciliation.run()
            _log.info(
                "reconciled",
                operations=summary.operations,
                found=summary.found,
                repaired=summary.repaired,
                open=summary.open,
            )
        open_by_type, last_seconds = await self._discrepancies.figures()
        for each in DiscrepancyType:
            _DISCREPANCIES.labels(each).set(open_by_type.get(each, 0))
        _RECONCILED.set(last_seconds)
