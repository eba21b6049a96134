"""Writes down where payments, the provider and the orders disagree, and repairs what it can.

    finding ──▶ discrepancy, open ──▶ repaired, if there is one right answer and it works
                       │
                       └──▶ gone, when a later reconciliation does not find it any more

Every repair may be repeated, so a reconciliation that was broken off is begun anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.mesh.errors import DomainError
from services.payment.clients import Orders
from services.payment.domain import Finding, PaymentState, Repair, Resolution
from services.payment.provider import Provider
from services.payment.store import DiscrepancyStore, RecordStore
from services.payment.workflow._comparing import Comparing, Window
from services.payment.workflow._payments import Payments

_log = structlog.get_logger(__name__)

_FOUND = Counter(
    "souk_payment_discrepancies_found_total",
    "Discrepancies found, by what came of them: repaired or open.",
    ["type", "outcome"],
)

_REFUND_ID = "reconciliation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a reconciliation has found: `found` counts those that were `repaired` too."""

    operations: int
    found: int
    repaired: int
    open: int


class Reconciliation:
    """Reconciles payments.

    `grace`: how old a thing must be to be compared, since younger ones may be on their way.
    `patience`: how long an operation may be without an answer.
    """

    def __init__(
        self,
        *,
        discrepancies: DiscrepancyStore,
        records: RecordStore,
        payments: Payments,
        provider: Provider,
        orders: Orders,
        grace: timedelta,
        patience: timedelta,
    ) -> None:
        self._discrepancies = discrepancies
        self._records = records
        self._payments = payments
        self._provider = provider
        self._orders = orders
        self._grace = grace
        self._patience = patience
        self._repairs: dict[Repair, Callable[[Finding, UUID], Awaitable[bool]]] = {
            Repair.RECORD: self._record,
            Repair.SETTLE: self._settle,
            Repair.VOID: self._void,
            Repair.REFUND: self._refund,
        }

    async def run(self) -> Summary:
        """Goes through everything since the last time and what is open.

        Raises Aborted while another does, ProviderUnavailable, and Unavailable when a store or the
        order service is; what was found and repaired until then stays.
        """
        async with self._discrepancies.locked():
            run = await self._discrepancies.begin()
            comparing = Comparing(
                records=self._records,
                provider=self._provider,
                orders=self._orders,
                patience=self._patience,
            )
            before = await self._discrepancies.open()
            found, repaired = set(), 0
            window = Window(since=run.since, until=run.begin_time - self._grace)
            async for finding in comparing.findings(window):
                found.add((finding.type, finding.subject))
                repaired += await self._deal_with(finding)
            for subject in before - found:
                await self._discrepancies.resolve(subject, Resolution.GONE)
            await self._discrepancies.end(run)
        return Summary(
            operations=comparing.operation_count,
            found=len(found),
            repaired=repaired,
            open=len(await self._discrepancies.open()),
        )

    async def _deal_with(self, finding: Finding) -> bool:
        """Writes a finding down and repairs it; returns whether that has worked."""
        await self._discrepancies.add(finding)
        is_repaired = await self._repair(finding)
        if is_repaired:
            await self._discrepancies.resolve((finding.type, finding.subject), Resolution.REPAIRED)
        outcome = "repaired" if is_repaired else "open"
        _FOUND.labels(finding.type, outcome).inc()
        _log.warning(
            "discrepancy",
            type=finding.type,
            detail=finding.detail,
            payment_id=str(finding.payment_id or ""),
            order_id=str(finding.order_id or ""),
            provider_key=finding.provider_key,
            outcome=outcome,
        )
        return is_repaired

    async def _repair(self, finding: Finding) -> bool:
        if finding.repair is None or finding.payment_id is None:
            return False
        try:
            return await self._repairs[finding.repair](finding, finding.payment_id)
        except DomainError as error:
            _log.warning("repair failed", repair=finding.repair, error=error.message)
            return False

    async def _record(self, finding: Finding, payment_id: UUID) -> bool:
        if finding.operation is None:
            return False
        await self._payments.adopt(payment_id, finding.operation)
        return True

    async def _settle(self, finding: Finding, payment_id: UUID) -> bool:
        payment = await self._payments.settle(payment_id, finding.provider_key)
        operation = payment.last(finding.provider_key)
        return operation is not None and operation.definite

    async def _void(self, finding: Finding, _: UUID) -> bool:
        if finding.order_id is None:
            return False
        payment = await self._payments.void(finding.order_id)
        return payment is None or payment.state is PaymentState.VOIDED

    async def _refund(self, _: Finding, payment_id: UUID) -> bool:
        payment = await self._payments.refund(payment_id, _REFUND_ID, None)
        return payment.state is PaymentState.REFUNDED
