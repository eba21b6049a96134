"""Compares what is written down here with what others say; pure."""

from collections.abc import Mapping
from types import MappingProxyType

from services.mesh.amount import Amount
from services.payment.domain.discrepancy import (
    DiscrepancyType,
    Finding,
    HeldMoney,
    OrderFacts,
    RecordedOperation,
    Repair,
)
from services.payment.domain.payment import PaymentState
from services.payment.domain.provider_operation import ProviderOperation
from services.payment.domain.transaction import (
    Declined,
    Succeeded,
    TransactionOutcome,
    TransactionType,
)

_EXPECTED: Mapping[TransactionOutcome, type[Succeeded | Declined]] = MappingProxyType(
    {TransactionOutcome.SUCCEEDED: Succeeded, TransactionOutcome.DECLINED: Declined}
)


def with_provider(
    theirs: ProviderOperation, ours: RecordedOperation | None, followed: RecordedOperation | None
) -> Finding | None:
    """Returns what disagrees about an operation that the provider has; None if nothing does.

    `ours` is the same as it is written down here, `followed` the one it follows; None if not at
    all.
    """
    if ours is None:
        is_declined = isinstance(theirs.outcome, Declined)
        return None if is_declined else _unknown_here(theirs, followed)
    if theirs.amount not in (None, ours.amount):
        return _about(
            ours,
            DiscrepancyType.AMOUNT_DIFFERS,
            "the sum is another at the provider",
            theirs.amount,
        )
    expected = _EXPECTED.get(ours.outcome)
    if expected is not None and isinstance(theirs.outcome, expected):
        return None
    there = type(theirs.outcome).__name__.lower()
    return _about(
        ours,
        DiscrepancyType.OUTCOME_DIFFERS,
        f"it is {ours.outcome.lower()} here, and {there} at the provider",
        theirs.amount,
        repair=Repair.SETTLE if expected is None else None,
    )


def without_provider(ours: RecordedOperation) -> Finding:
    """Returns what is found when the provider does not know what is written down here.

    What was done is for people. What was asked for and not answered is asked for once more.
    """
    if ours.outcome is not TransactionOutcome.SUCCEEDED:
        told = "it was asked for long ago and has no answer"
        return _about(ours, DiscrepancyType.UNANSWERED, told, repair=Repair.SETTLE)
    kind = (
        DiscrepancyType.REFUNDED_HERE_ONLY
        if ours.is_refund
        else DiscrepancyType.UNKNOWN_TO_PROVIDER
    )
    return _about(ours, kind, "it is done here, and the provider does not know it")


def with_order(held: HeldMoney, order: OrderFacts | None) -> Finding | None:
    """Returns what disagrees about a payment and its order; `order` is None if there is none."""
    is_captured = held.state is PaymentState.CAPTURED
    if order is None:
        return _about(held, DiscrepancyType.ORDER_UNKNOWN, "there is no such order")
    if order.is_dead:
        kind = (
            DiscrepancyType.CAPTURED_FOR_DEAD_ORDER
            if is_captured
            else DiscrepancyType.AUTHORIZED_FOR_DEAD_ORDER
        )
        repair = Repair.REFUND if is_captured else Repair.VOID
        return _about(held, kind, "the order was undone", order.total, repair=repair)
    if order.total != held.amount:
        told = "the sum of the order is another"
        return _about(held, DiscrepancyType.AMOUNT_DIFFERS, told, order.total)
    return None


def _unknown_here(theirs: ProviderOperation, followed: RecordedOperation | None) -> Finding:
    is_refund = theirs.type is TransactionType.REFUND
    return Finding(
        type=DiscrepancyType.REFUNDED_AT_PROVIDER_ONLY
        if is_refund
        else DiscrepancyType.UNKNOWN_HERE,
        detail=f"{theirs.type}: it is done at the provider, and not written down here",
        occur_time=theirs.create_time,
        payment_id=followed.payment_id if followed else None,
        order_id=followed.order_id if followed else None,
        provider_key=theirs.key,
        other=theirs.amount,
        repair=Repair.RECORD if followed else None,
        operation=theirs,
    )


def _about(
    ours: RecordedOperation | HeldMoney,
    kind: DiscrepancyType,
    told: str,
    other: Amount | None = None,
    *,
    repair: Repair | None = None,
) -> Finding:
    """Returns a finding about what is written down here; `other` is the sum that others say."""
    if isinstance(ours, RecordedOperation):
        what, since, key = ours.type.value, ours.begin_time, ours.key
    else:
        what, since, key = ours.state.value, ours.update_time, ""
    return Finding(
        type=kind,
        detail=f"{what}: {told}",
        occur_time=since,
        payment_id=ours.payment_id,
        order_id=ours.order_id,
        provider_key=key,
        recorded=ours.amount,
        other=other,
        repair=repair,
    )
