"""How an operation reaches the provider, and how it ends whatever happens in between.

    change: PENDING is committed ──▶ the provider is asked ──▶ change: the outcome is committed
                                          │
                                          └─ no answer, a crash, a cancellation: it stays open, and
                                             who comes next asks again, with the same key

Who comes next is the caller, who repeats its call; another call that finds the operation in its
way; the provider's event; or the worker. It does no harm when several ask at once.
"""

from datetime import timedelta
from uuid import UUID

from services.mesh import failpoints
from services.mesh.amount import Amount
from services.payment.domain import (
    Outcome,
    Payment,
    ProviderOperation,
    ProviderUnavailable,
    Transaction,
    TransactionType,
    Unknown,
)
from services.payment.provider import Provider
from services.payment.store import PaymentStore, Verb

_RETRY_AFTER = timedelta(milliseconds=500)


class Payments:
    """What can be done with payments.

    Each of it can be repeated: the second time it finds what the first has done, or goes on with
    it. All raise ProviderUnavailable when it is not known yet whether it was done.
    """

    def __init__(self, *, store: PaymentStore, provider: Provider) -> None:
        self._store = store
        self._provider = provider

    async def authorize(
        self, *, order_id: UUID, user_id: UUID, amount: Amount, payment_token: str
    ) -> Payment:
        """Sets the money for an order aside. Raises PaymentDeclined, StateConflict."""
        payment = await self._store.begin(
            order_id=order_id, user_id=user_id, amount=amount, payment_token=payment_token
        )
        return await self._drive(
            payment, lambda each, _: each.authorize(user_id=user_id, amount=amount)
        )

    async def capture(self, payment_id: UUID) -> Payment:
        """Takes the money. Raises PaymentNotFound, PaymentDeclined, StateConflict."""
        payment = await self._store.get(payment_id)
        return await self._drive(payment, lambda each, at: each.capture(at=at))

    async def void(self, order_id: UUID) -> Payment | None:
        """Sees to it that no money is set aside for an order, now or later.

        None if the order has no payment. Raises StateConflict if the money was taken.
        """
        payment = await self._store.void_order(order_id)
        if payment is None:
            return None
        if payment.open and payment.open.type is TransactionType.AUTHORIZE:
            payment = await self._look_up_or_overtake(payment, payment.open)
        return await self._drive(payment, lambda each, at: each.void(at=at))

    async def refund(self, payment_id: UUID, refund_id: str, amount: Amount | None) -> Payment:
        """Gives money back, all that is left if `amount` is None.

        Raises PaymentNotFound, PaymentDeclined, StateConflict, RefundTooLarge, InvalidArgument.
        """
        payment = await self._store.get(payment_id)
        return await self._drive(payment, lambda each, at: each.refund(refund_id, amount, at=at))

    async def resolve(self, payment_id: UUID) -> Payment:
        """Finds out what became of the open operation, if there is one. Raises PaymentNotFound."""
        payment = await self._store.get(payment_id)
        operation = payment.open
        if operation is None:
            return payment
        outcome = await self._provider.lookup(operation.provider_key)
        if outcome is None:
            outcome = await self._ask(payment, operation)
        return await self._settle(payment, operation, outcome)

    async def settle(self, payment_id: UUID, provider_key: str) -> Payment:
        """Finds out what became of any operation of a payment, the open one or an overtaken one.

        Raises PaymentNotFound.
        """
        payment = await self._store.get(payment_id)
        if payment.open_key == provider_key:
            return await self.resolve(payment_id)
        operation = payment.last(provider_key)
        outcome = await self._provider.lookup(provider_key)
        if operation is None or outcome is None:
            return payment
        return await self._settle(payment, operation, outcome)

    async def give_up(self, payment_id: UUID) -> Payment:
        """Brings an operation to its end that has had no answer for long.

        An authorization that the provider has not seen is voided: its order was given up long ago.
        Of anything else the provider alone can say what became of it. Raises PaymentNotFound.
        """
        payment = await self._store.get(payment_id)
        if payment.open and payment.open.type is TransactionType.AUTHORIZE:
            await self._look_up_or_overtake(payment, payment.open)
        return await self.resolve(payment_id)

    async def adopt(self, payment_id: UUID, operation: ProviderOperation) -> Payment:
        """Writes down what the provider has done without being asked from here.

        Raises PaymentNotFound, and StateConflict if it can't follow what is written down.
        """
        return await self._store.change(payment_id, lambda each, at: each.adopt(operation, at=at))

    async def _drive(self, payment: Payment, verb: Verb) -> Payment:
        """Returns the payment once no operation is open and `verb` has nothing left to do."""
        while True:
            operation = payment.open
            if operation is not None:
                outcome = await self._ask(payment, operation)
                payment = await self._settle(payment, operation, outcome)
            elif verb(payment, payment.update_time) is payment:
                return payment
            else:
                payment = await self._store.change(payment.payment_id, verb)

    async def _look_up_or_overtake(self, payment: Payment, operation: Transaction) -> Payment:
        """Settles an open authorization, or voids it if the provider has not seen it."""
        outcome = await self._provider.lookup(operation.provider_key)
        if outcome is None:
            return await self._store.change(
                payment.payment_id, lambda each, at: each.overtake(at=at)
            )
        return await self._settle(payment, operation, outcome)

    async def _settle(self, payment: Payment, operation: Transaction, outcome: Outcome) -> Payment:
        """Returns the payment with the outcome; raises ProviderUnavailable if it is still open."""
        await failpoints.reach("payment.after_provider", operation.type)
        key = operation.provider_key
        settled = await self._store.change(
            payment.payment_id, lambda each, at: each.settle(key, outcome, at=at)
        )
        await failpoints.reach("payment.after_settle", operation.type)
        if isinstance(outcome, Unknown) and settled.open_key == key:
            message = "the payment provider has not answered"
            raise ProviderUnavailable(
                message, retry_after=_RETRY_AFTER, payment_id=str(payment.payment_id)
            )
        return settled

    async def _ask(self, payment: Payment, operation: Transaction) -> Outcome:
        await failpoints.reach("payment.before_provider", operation.type)
        key, amount = operation.provider_key, operation.amount
        authorization, capture = payment.key("authorize"), payment.key("capture")
        match operation.type:
            case TransactionType.AUTHORIZE:
                return await self._provider.authorize(
                    key,
                    payment_id=payment.payment_id,
                    amount=amount,
                    payment_token=payment.payment_token,
                )
            case TransactionType.CAPTURE:
                return await self._provider.capture(key, authorization=authorization, amount=amount)
            case TransactionType.VOID:
                return await self._provider.void(key, authorization=authorization)
            case TransactionType.REFUND:
                return await self._provider.refund(key, capture=capture, amount=amount)
