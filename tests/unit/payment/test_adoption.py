"""What the provider has done by itself is written down where it can follow what is."""

from datetime import UTC, datetime

import pytest

from services.mesh.amount import Amount
from services.payment.domain import (
    Declined,
    Payment,
    PaymentDeclined,
    PaymentState,
    ProviderOperation,
    StateConflict,
    Succeeded,
    TransactionOutcome,
    TransactionType,
)
from tests.unit.payment.test_payment import answered, authorized, captured, euros, new_payment

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at_provider(kind: TransactionType, amount: Amount | None = None) -> ProviderOperation:
    """Returns an operation that nobody here has asked for."""
    return ProviderOperation(
        key="by-hand",
        type=kind,
        follows=None,
        amount=amount,
        outcome=Succeeded("theirs"),
        create_time=NOON,
    )


@pytest.mark.parametrize(
    ("before", "operation", "state", "refunded"),
    [
        (authorized(), at_provider(TransactionType.CAPTURE, euros(1000)), "CAPTURED", 0),
        (authorized(), at_provider(TransactionType.VOID), "VOIDED", 0),
        (captured(), at_provider(TransactionType.REFUND, euros(400)), "CAPTURED", 400),
        (captured(), at_provider(TransactionType.REFUND, euros(1000)), "REFUNDED", 1000),
    ],
)
def test_what_follows_is_written_down(
    before: Payment, operation: ProviderOperation, state: str, refunded: int
) -> None:
    """The payment is what it would be, had we asked for it; a second time changes nothing."""
    after = before.adopt(operation, at=NOON)
    assert (after.state, after.refunded) == (PaymentState(state), euros(refunded))
    last = after.last("by-hand")
    assert last is not None
    assert (last.outcome, last.provider_reference) == (TransactionOutcome.SUCCEEDED, "theirs")
    assert after.adopt(operation, at=NOON) is after


@pytest.mark.parametrize(
    ("before", "operation"),
    [
        (new_payment(), at_provider(TransactionType.CAPTURE, euros(1000))),
        (authorized(), at_provider(TransactionType.CAPTURE, euros(999))),
        (authorized(), at_provider(TransactionType.AUTHORIZE, euros(1000))),
        (authorized(), at_provider(TransactionType.REFUND, euros(1))),
        (captured(), at_provider(TransactionType.VOID)),
        (captured(), at_provider(TransactionType.REFUND, euros(1001))),
        (captured(), at_provider(TransactionType.REFUND, Amount(currency="USD", minor=1))),
        (captured(), at_provider(TransactionType.REFUND)),
        (captured().refund("r", None, at=NOON), at_provider(TransactionType.REFUND, euros(1))),
    ],
)
def test_what_does_not_follow_is_refused(before: Payment, operation: ProviderOperation) -> None:
    """It is for people to say what has happened there."""
    with pytest.raises(StateConflict):
        before.adopt(operation, at=NOON)


def test_a_refused_void_does_not_hide_money_that_was_taken() -> None:
    """Once it is known that the money was taken, a void says so, and the refund can follow."""
    refused = answered(authorized().void(at=NOON), Declined("no"))
    with pytest.raises(PaymentDeclined):
        refused.void(at=NOON)
    taken = refused.adopt(at_provider(TransactionType.CAPTURE, euros(1000)), at=NOON)
    with pytest.raises(StateConflict) as caught:
        taken.void(at=NOON)
    assert caught.value.metadata["state"] == "PAYMENT_STATE_CAPTURED"
    assert taken.refund("r", None, at=NOON).open is not None
