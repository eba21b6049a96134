"""A payment's life; no I/O.

| operation | begins when       | done: the state is                | declined: the state is |
|-----------|-------------------|-----------------------------------|------------------------|
| authorize | there is none     | AUTHORIZED                        | DECLINED               |
| capture   | AUTHORIZED        | CAPTURED                          | AUTHORIZED             |
| void      | AUTHORIZED        | VOIDED                            | AUTHORIZED             |
| refund    | CAPTURED          | CAPTURED; REFUNDED if all is back | CAPTURED               |

From when an operation begins until the provider's answer is known, it is the payment's open
operation and the state is UNKNOWN; whatever else is asked waits until then. The exception: an
authorization that the provider does not know of may be overtaken by its void, see `overtake`.

Each operation has one provider key for ever, so it is never done twice, however often it is asked.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.mesh.amount import Amount
from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.ids import new_id
from services.payment.domain.errors import PaymentDeclined, RefundTooLarge, StateConflict
from services.payment.domain.provider_operation import ProviderOperation
from services.payment.domain.transaction import (
    Declined,
    Outcome,
    Succeeded,
    Transaction,
    TransactionOutcome,
    TransactionType,
    Unknown,
)


class PaymentState(StrEnum):
    """How far a payment has come."""

    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"
    DECLINED = "DECLINED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The payment of one order.

    `open_key` is the provider key of the open operation, if any. `payment_token` is the provider's
    token for the means of payment, empty as soon as it is no longer needed.

    Its verbs return the payment as it is afterwards, or the same one if there is nothing to do:
    because it is done already, or because another operation is open and must be settled first.
    They raise PaymentDeclined when the provider has refused the same before, and StateConflict.
    """

    payment_id: UUID
    order_id: UUID
    user_id: UUID
    state: PaymentState
    amount: Amount
    captured: Amount
    refunded: Amount
    payment_token: str = field(repr=False)
    open_key: str | None
    transactions: tuple[Transaction, ...]
    create_time: datetime
    update_time: datetime

    @property
    def open(self) -> Transaction | None:
        """The last transaction of the open operation; None if none is open."""
        return self.last(self.open_key) if self.open_key else None

    def last(self, provider_key: str) -> Transaction | None:
        """Returns the latest transaction of an operation; None if it was never begun."""
        of_key = (each for each in reversed(self.transactions) if each.provider_key == provider_key)
        return next(of_key, None)

    def key(self, step: str) -> str:
        """Returns the provider key of an operation of this payment."""
        return f"{self.payment_id}:{step}"

    def authorize(self, *, user_id: UUID, amount: Amount) -> "Payment":
        """Finds this sum set aside, or taken; it was asked for when the payment was begun."""
        if self.state is PaymentState.VOIDED:
            raise self._conflict("the payment was voided")
        if (self.user_id, self.amount) != (user_id, amount):
            raise self._conflict("the order is paid for already, by another sum or user")
        self._must_not_be_declined(self.key("authorize"))
        return self

    def capture(self, *, at: datetime) -> "Payment":
        """Takes all the money that is set aside."""
        key = self.key("capture")
        self._must_not_be_declined(key)
        if self.open or self.state in (PaymentState.CAPTURED, PaymentState.REFUNDED):
            return self
        if self.state is not PaymentState.AUTHORIZED:
            raise self._conflict("only an authorized payment can be captured")
        return self._begin(key, TransactionType.CAPTURE, self.amount, at=at)

    def void(self, *, at: datetime) -> "Payment":
        """Sees to it that no money is set aside; money that was taken is in the way."""
        key = self.key("void")
        if self.state is PaymentState.CAPTURED:
            raise self._conflict("the money was taken; it can be refunded")
        self._must_not_be_declined(key)
        if self.state is not PaymentState.AUTHORIZED:
            return self
        return self._begin(key, TransactionType.VOID, self.amount, at=at)

    def overtake(self, *, at: datetime) -> "Payment":
        """Voids the authorization, if it is open, that the provider has not seen.

        Should it still be on its way, the void either undoes it or keeps it from being done.
        """
        key = self.key("void")
        if self.open_key != self.key("authorize") or self.last(key):
            return self
        return self._begin(key, TransactionType.VOID, self.amount, at=at)

    def refund(self, refund_id: str, amount: Amount | None, *, at: datetime) -> "Payment":
        """Gives money back, all that is left if `amount` is None; `refund_id` keeps refunds apart.

        Raises RefundTooLarge, and InvalidArgument for another currency.
        """
        key = self.key(f"refund:{refund_id}")
        self._must_not_be_declined(key)
        if self.open or self.last(key):
            return self
        if self.state is not PaymentState.CAPTURED:
            raise self._conflict("only a captured payment can be refunded")
        left = self.captured - self.refunded
        return self._begin(key, TransactionType.REFUND, self._refundable(amount, left), at=at)

    def settle(self, provider_key: str, outcome: Outcome, *, at: datetime) -> "Payment":
        """Writes down what came of an operation; the first definite outcome stands."""
        known = self.last(provider_key)
        if known is None or known.definite:
            return self
        is_open = provider_key == self.open_key
        match outcome:
            case Unknown():
                if known.outcome is TransactionOutcome.UNKNOWN:
                    return self
                return self._noting(known, TransactionOutcome.UNKNOWN, "", at=at)
            case Succeeded(reference):
                after = self._noting(known, TransactionOutcome.SUCCEEDED, reference, at=at)
                return replace(after, **self._done(known), update_time=at) if is_open else after
            case Declined(reference):
                after = self._noting(known, TransactionOutcome.DECLINED, reference, at=at)
                return replace(after, **self._refused(known), update_time=at) if is_open else after

    def adopt(self, operation: ProviderOperation, *, at: datetime) -> "Payment":
        """Writes down what the provider has done without being asked from here.

        Raises StateConflict if that can't follow what is written down.
        """
        if self.last(operation.key):
            return self
        if self.open or not self._may_be_followed_by(operation):
            raise self._conflict("what the provider has done does not follow from it")
        begun = _pending(operation.key, operation.type, operation.amount or self.amount, at=at)
        after = self._noting(
            begun, TransactionOutcome.SUCCEEDED, operation.outcome.reference, at=at
        )
        return replace(after, **self._done(begun), update_time=at)

    def _may_be_followed_by(self, operation: ProviderOperation) -> bool:
        match operation.type:
            case TransactionType.AUTHORIZE:
                return False
            case TransactionType.CAPTURE:
                return self.state is PaymentState.AUTHORIZED and operation.amount == self.amount
            case TransactionType.VOID:
                return self.state is PaymentState.AUTHORIZED
            case TransactionType.REFUND:
                left = self.captured - self.refunded
                given = operation.amount
                return (
                    self.state is PaymentState.CAPTURED
                    and given is not None
                    and given.currency == left.currency
                    and given <= left
                )

    def _must_not_be_declined(self, provider_key: str) -> None:
        last = self.last(provider_key)
        if last is not None and last.outcome is TransactionOutcome.DECLINED:
            raise PaymentDeclined("the provider refused", payment_id=str(self.payment_id))

    def _conflict(self, message: str) -> StateConflict:
        state = f"PAYMENT_STATE_{self.state}"
        return StateConflict(message, state=state, payment_id=str(self.payment_id))

    def _refundable(self, amount: Amount | None, left: Amount) -> Amount:
        if amount is None:
            return left
        if amount.currency != left.currency:
            violation = FieldViolation(
                "amount.currency_code", f"must be {left.currency}", "CURRENCY"
            )
            message = "the refund must be in the currency of the payment"
            raise InvalidArgument(message, violations=[violation])
        if not amount <= left:
            raise RefundTooLarge("less than that was taken and not given back")
        return amount

    def _begin(
        self, provider_key: str, kind: TransactionType, amount: Amount, *, at: datetime
    ) -> "Payment":
        return replace(
            self,
            state=PaymentState.UNKNOWN,
            open_key=provider_key,
            transactions=(*self.transactions, _pending(provider_key, kind, amount, at=at)),
            update_time=at,
        )

    def _noting(
        self, known: Transaction, outcome: TransactionOutcome, reference: str, *, at: datetime
    ) -> "Payment":
        noted = replace(
            known,
            transaction_id=new_id(),
            outcome=outcome,
            provider_reference=reference,
            create_time=at,
        )
        answered = noted.type is TransactionType.AUTHORIZE and noted.definite
        token = "" if answered else self.payment_token
        return replace(self, transactions=(*self.transactions, noted), payment_token=token)

    def _done(self, operation: Transaction) -> dict[str, Any]:
        """Returns the fields that change when the open operation is done."""
        match operation.type:
            case TransactionType.AUTHORIZE:
                return {"open_key": None, "state": PaymentState.AUTHORIZED}
            case TransactionType.CAPTURE:
                captured = operation.amount
                return {"open_key": None, "state": PaymentState.CAPTURED, "captured": captured}
            case TransactionType.VOID:
                return {"open_key": None, "state": PaymentState.VOIDED, "payment_token": ""}
            case TransactionType.REFUND:
                refunded = self.refunded + operation.amount
                every = refunded == self.captured
                state = PaymentState.REFUNDED if every else PaymentState.CAPTURED
                return {"open_key": None, "state": state, "refunded": refunded}

    def _refused(self, operation: Transaction) -> dict[str, Any]:
        """Returns the fields that change when the provider refuses the open operation."""
        match operation.type:
            case TransactionType.AUTHORIZE:
                return {"open_key": None, "state": PaymentState.DECLINED}
            case TransactionType.REFUND:
                return {"open_key": None, "state": PaymentState.CAPTURED}
            case TransactionType.CAPTURE:
                return {"open_key": None, "state": PaymentState.AUTHORIZED}
            case TransactionType.VOID:
                return self._after_void_refused()

    def _after_void_refused(self) -> dict[str, Any]:
        """Returns what the authorization has left, which may have been answered since or not."""
        authorization = self.last(self.key("authorize"))
        if authorization is None or not authorization.definite:
            return {"open_key": self.key("authorize")}
        refused = authorization.outcome is TransactionOutcome.DECLINED
        state = PaymentState.DECLINED if refused else PaymentState.AUTHORIZED
        return {"open_key": None, "state": state}


def begun(
    *,
    payment_id: UUID,
    order_id: UUID,
    user_id: UUID,
    amount: Amount,
    payment_token: str,
    at: datetime,
) -> Payment:
    """Returns a new payment whose authorization is the open operation."""
    nothing = Amount(currency=amount.currency, minor=0)
    key = f"{payment_id}:authorize"
    return Payment(
        payment_id=payment_id,
        order_id=order_id,
        user_id=user_id,
        state=PaymentState.UNKNOWN,
        amount=amount,
        captured=nothing,
        refunded=nothing,
        payment_token=payment_token,
        open_key=key,
        transactions=(_pending(key, TransactionType.AUTHORIZE, amount, at=at),),
        create_time=at,
        update_time=at,
    )


def _pending(
    provider_key: str, kind: TransactionType, amount: Amount, *, at: datetime
) -> Transaction:
    return Transaction(
        transaction_id=new_id(),
        provider_key=provider_key,
        type=kind,
        outcome=TransactionOutcome.PENDING,
        amount=amount,
        provider_reference="",
        create_time=at,
    )
