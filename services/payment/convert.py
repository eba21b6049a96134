"""Between the contract and the domain."""

from services.mesh.amount import Amount
from services.mesh.money import money_from_amount
from services.payment.domain import Payment, Transaction
from souk.payment.v1 import payment_pb2


def payment_to_proto(payment: Payment) -> payment_pb2.Payment:
    """Returns the message that tells of `payment`."""
    message = payment_pb2.Payment(
        payment_id=str(payment.payment_id),
        order_id=str(payment.order_id),
        user_id=str(payment.user_id),
        state=payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{payment.state}"),
        amount=money_from_amount(payment.amount),
        transactions=[transaction_to_proto(each) for each in payment.transactions],
    )
    _set(message, "captured_amount", payment.captured)
    _set(message, "refunded_amount", payment.refunded)
    message.create_time.FromDatetime(payment.create_time)
    message.update_time.FromDatetime(payment.update_time)
    return message


def transaction_to_proto(transaction: Transaction) -> payment_pb2.Transaction:
    """Returns the message that tells of `transaction`."""
    message = payment_pb2.Transaction(
        transaction_id=str(transaction.transaction_id),
        type=payment_pb2.TransactionType.Value(f"TRANSACTION_TYPE_{transaction.type}"),
        outcome=payment_pb2.TransactionOutcome.Value(f"TRANSACTION_OUTCOME_{transaction.outcome}"),
        amount=money_from_amount(transaction.amount),
        provider_reference=transaction.provider_reference,
    )
    message.create_time.FromDatetime(transaction.create_time)
    return message


def _set(message: payment_pb2.Payment, field: str, amount: Amount) -> None:
    if amount.minor:
        getattr(message, field).CopyFrom(money_from_amount(amount))
