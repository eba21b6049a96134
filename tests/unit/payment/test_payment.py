"""The rules of a payment's life, walked at random and one by one."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.mesh.amount import Amount
from services.mesh.errors import InvalidArgument
from services.payment import domain
from services.payment.domain import (
    Declined,
    Outcome,
    Payment,
    PaymentDeclined,
    PaymentState,
    RefundTooLarge,
    StateConflict,
    Succeeded,
    TransactionOutcome,
    Unknown,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAYMENT_ID = UUID("0199a3c4-0000-7000-8000-000000000001")
ORDER_ID = UUID("0199a3c4-0000-7000-8000-000000000002")
USER_ID = UUID("0199a3c4-0000-7000-8000-000000000003")


def euros(minor: int) -> Amount:
    """Returns an amount in cents."""
    return Amount(currency="EUR", minor=minor)


def new_payment() -> Payment:
    """Returns a payment of 10 EUR that was just begun."""
    return domain.begun(
        payment_id=PAYMENT_ID,
        order_id=ORDER_ID,
        user_id=USER_ID,
        amount=euros(1000),
        payment_token="tok_ok",
        at=NOON,
    )


def answered(payment: Payment, outcome: Outcome) -> Payment:
    """Returns the payment after the provider has answered its open operation."""
    assert payment.open_key is not None
    return payment.settle(payment.open_key, outcome, at=NOON)


def authorized() -> Payment:
    """Returns a payment whose money is set aside."""
    return answered(new_payment(), Succeeded("ref"))


def captured() -> Payment:
    """Returns a payment whose money is taken."""
    return answered(authorized().capture(at=NOON), Succeeded("ref"))


LEGAL = {
    PaymentState.UNKNOWN: set(PaymentState) - {PaymentState.UNKNOWN},
    PaymentState.AUTHORIZED: {PaymentState.UNKNOWN},
    PaymentState.CAPTURED: {PaymentState.UNKNOWN},
    PaymentState.VOIDED: set(),
    PaymentState.REFUNDED: set(),
    PaymentState.DECLINED: set(),
}


class PaymentLife(RuleBasedStateMachine):
    """Any verbs in any order, any answers, late and repeated ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.payment = new_payment()
        self.states = [self.payment.state]
        self.refunds = 0

    def become(self, payment: Payment) -> None:
        """Takes what a verb has made of the payment, and checks what must never happen."""
        old, new = self.payment.transactions, payment.transactions
        assert new[: len(old)] == old
        if payment.state is not self.payment.state:
            assert payment.state in LEGAL[self.payment.state]
        self.payment = payment
        self.now += timedelta(seconds=1)

    def attempt(self, verb: str, *arguments: object) -> None:
        """Calls a verb; being refused is fine, and changes nothing."""
        with suppress(StateConflict, PaymentDeclined, RefundTooLarge):
            self.become(getattr(self.payment, verb)(*arguments, at=self.now))

    @rule(verb=st.sampled_from(["capture", "void", "overtake"]))
    def use(self, verb: str) -> None:
        """Somebody wants something."""
        self.attempt(verb)

    @rule(minor=st.none() | st.integers(min_value=1, max_value=1200))
    def refund(self, minor: int | None) -> None:
        """Somebody wants money back."""
        self.refunds += 1
        self.attempt("refund", str(self.refunds), None if minor is None else euros(minor))

    @precondition(lambda self: self.payment.transactions)
    @rule(
        outcome=st.sampled_from([Succeeded("s"), Declined("d"), Unknown()]),
        which=st.integers(min_value=0),
    )
    def answer(self, outcome: Outcome, which: int) -> None:
        """The provider answers some operation, the open one or an earlier one."""
        keys = [each.provider_key for each in self.payment.transactions]
        key = keys[-1 - which % len(keys)]
        self.become(self.payment.settle(key, outcome, at=self.now))

    @invariant()
    def unknown_while_open(self) -> None:
        """The state is UNKNOWN exactly while an operation is open, and that one is unanswered."""
        assert (self.payment.state is PaymentState.UNKNOWN) == (self.payment.open is not None)
        assert self.payment.open is None or not self.payment.open.definite

    @invariant()
    def sums_hold(self) -> None:
        """Nothing is given back that was not taken, or taken that was not set aside."""
        payment = self.payment
        assert 0 <= payment.refunded.minor <= payment.captured.minor <= payment.amount.minor
        is_refunded = payment.state is PaymentState.REFUNDED
        assert is_refunded == (0 < payment.captured.minor == payment.refunded.minor)

    @invariant()
    def one_definite_outcome(self) -> None:
        """Each operation has each outcome at most once, and one definite outcome at most."""
        lines = [(each.provider_key, each.outcome) for each in self.payment.transactions]
        assert len(lines) == len(set(lines))
        definite = [each.provider_key for each in self.payment.transactions if each.definite]
        assert len(definite) == len(set(definite))

    @invariant()
    def books_agree(self) -> None:
        """The sums are those of the lines that succeeded."""
        done = [
            each
            for each in self.payment.transactions
            if each.outcome is TransactionOutcome.SUCCEEDED
        ]
        taken = sum(each.amount.minor for each in done if each.type == "CAPTURE")
        returned = sum(each.amount.minor for each in done if each.type == "REFUND")
        assert (taken, returned) == (self.payment.captured.minor, self.payment.refunded.minor)

    @invariant()
    def state_tells_of_the_authorization(self) -> None:
        """AUTHORIZED and DECLINED say what the provider has answered."""
        authorization = self.payment.last(self.payment.key("authorize"))
        assert authorization is not None
        if self.payment.state is PaymentState.AUTHORIZED:
            assert authorization.outcome is TransactionOutcome.SUCCEEDED
        if self.payment.state is PaymentState.DECLINED:
            assert authorization.outcome is TransactionOutcome.DECLINED

    @invariant()
    def token_is_forgotten(self) -> None:
        """The token is kept no longer than the authorization is unanswered."""
        assert self.payment.state is PaymentState.UNKNOWN or not self.payment.payment_token


TestPaymentLife = PaymentLife.TestCase
TestPaymentLife.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)


def test_an_authorization_ends_authorized_or_declined():
    """The provider's answer decides."""
    assert authorized().state is PaymentState.AUTHORIZED
    assert answered(new_payment(), Declined("ref")).state is PaymentState.DECLINED


def test_silence_is_written_down_once():
    """The payment stays unknown, however often the provider is silent."""
    once = answered(new_payment(), Unknown())

    assert answered(once, Unknown()) is once
    assert [each.outcome for each in once.transactions] == ["PENDING", "UNKNOWN"]
    assert once.state is PaymentState.UNKNOWN


def test_the_first_definite_answer_stands():
    """A later answer to the same operation changes nothing."""
    payment = authorized()

    assert payment.settle(payment.key("authorize"), Declined("late"), at=NOON) is payment


def test_a_verb_waits_for_the_open_operation():
    """While the capture is unanswered, neither void nor refund nor another capture begins."""
    payment = authorized().capture(at=NOON)

    assert payment.capture(at=NOON) is payment
    assert payment.void(at=NOON) is payment
    assert payment.refund("1", None, at=NOON) is payment


def test_a_capture_that_was_declined_is_not_tried_again():
    """It fails the same way, and the money can still be voided."""
    payment = answered(authorized().capture(at=NOON), Declined("ref"))

    with pytest.raises(PaymentDeclined):
        payment.capture(at=NOON)
    assert answered(payment.void(at=NOON), Succeeded("ref")).state is PaymentState.VOIDED


def test_taken_money_is_not_voided():
    """The error names the state."""
    with pytest.raises(StateConflict) as caught:
        captured().void(at=NOON)

    assert caught.value.metadata["state"] == "PAYMENT_STATE_CAPTURED"


@pytest.mark.parametrize("payment", [answered(new_payment(), Declined("d")), new_payment()])
def test_voiding_what_is_not_set_aside_begins_nothing(payment: Payment):
    """A declined payment has nothing to void, an unanswered one waits."""
    assert payment.void(at=NOON) is payment


def test_an_overtaken_authorization_stays_voided():
    """Its answer is written down when it comes, and does not set money aside."""
    overtaken = answered(new_payment().overtake(at=NOON), Succeeded("void"))
    late = overtaken.settle(overtaken.key("authorize"), Succeeded("late"), at=NOON)

    assert late.state is PaymentState.VOIDED
    assert len(late.transactions) == len(overtaken.transactions) + 1
    with pytest.raises(StateConflict):
        late.authorize(user_id=USER_ID, amount=euros(1000))


def test_a_void_that_cannot_overtake_leaves_the_authorization_open():
    """If the provider refuses, the authorization is what must be found out."""
    payment = answered(new_payment().overtake(at=NOON), Declined("d"))

    assert payment.open_key == payment.key("authorize")
    assert answered(payment, Succeeded("s")).state is PaymentState.AUTHORIZED


def test_an_order_is_not_paid_for_by_another_sum_or_user():
    """A second authorization of the order must be for the same."""
    payment = authorized()

    assert payment.authorize(user_id=USER_ID, amount=euros(1000)) is payment
    with pytest.raises(StateConflict):
        payment.authorize(user_id=USER_ID, amount=euros(999))
    with pytest.raises(StateConflict):
        payment.authorize(user_id=ORDER_ID, amount=euros(1000))


def test_refunds_end_when_all_is_given_back():
    """Parts leave the payment captured, the last one refunds it."""
    part = answered(captured().refund("1", euros(400), at=NOON), Succeeded("r"))
    rest = answered(part.refund("2", None, at=NOON), Succeeded("r"))

    assert (part.state, part.refunded) == (PaymentState.CAPTURED, euros(400))
    assert (rest.state, rest.refunded) == (PaymentState.REFUNDED, euros(1000))


def test_a_refund_is_recognized_by_its_id():
    """The same refund again is done already; another one is another."""
    part = answered(captured().refund("1", euros(400), at=NOON), Succeeded("r"))

    assert part.refund("1", euros(400), at=NOON) is part
    assert part.refund("2", euros(400), at=NOON) is not part


def test_no_more_is_refunded_than_was_taken():
    """A cent more than is left is too much."""
    part = answered(captured().refund("1", euros(400), at=NOON), Succeeded("r"))

    with pytest.raises(RefundTooLarge):
        part.refund("2", euros(601), at=NOON)


def test_a_refund_is_in_the_currency_of_the_payment():
    """The error names the field."""
    with pytest.raises(InvalidArgument) as caught:
        captured().refund("1", Amount(currency="USD", minor=100), at=NOON)

    assert [each.field for each in caught.value.violations] == ["amount.currency_code"]


def test_the_token_is_not_shown():
    """A payment in a log does not tell the token."""
    assert "tok_ok" not in repr(new_payment())
