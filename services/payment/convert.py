"""Between the contract and the domain."""

from google.protobuf.message import Message

from services.mesh.amount import Amount
from services.mesh.money import money_from_amount
from services.payment.domain import Discrepancy, Payment, Transaction
from souk.payment.v1 import discrepancy_pb2, payment_pb2


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


def discrepancy_to_proto(discrepancy: Discrepancy) -> discrepancy_pb2.Discrepancy:
    """Returns the message that tells of `discrepancy`."""
    finding, resolution = discrepancy.finding, discrepancy.resolution or "UNSPECIFIED"
    message = discrepancy_pb2.Discrepancy(
        discrepancy_id=str(discrepancy.discrepancy_id),
        type=discrepancy_pb2.DiscrepancyType.Value(f"DISCREPANCY_TYPE_{finding.type}"),
        payment_id=str(finding.payment_id or ""),
        order_id=str(finding.order_id or ""),
        provider_key=finding.provider_key,
        detail=finding.detail,
        resolution=discrepancy_pb2.DiscrepancyResolution.Value(
            f"DISCREPANCY_RESOLUTION_{resolution}"
        ),
    )
    _set(message, "recorded_amount", finding.recorded)
    _set(message, "other_amount", finding.other)
    message.create_time.FromDatetime(discrepancy.create_time)
    if discrepancy.resolve_time is not None:
        message.resolve_time.FromDatetime(discrepancy.resolve_time)
    return message


def _set(message: Message, field: str, amount: Amount | None) -> None:
    if amount is not None and amount.minor:
        getattr(message, field).CopyFrom(money_from_amount(amount))
