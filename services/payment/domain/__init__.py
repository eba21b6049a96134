"""Payments and their rules, without I/O: `payment`, `transaction` and `errors`."""

from services.payment.domain.errors import (
    PaymentDeclined,
    PaymentNotFound,
    ProviderUnavailable,
    RefundTooLarge,
    SignatureInvalid,
    StateConflict,
)
from services.payment.domain.payment import Payment, PaymentState, begun
from services.payment.domain.transaction import (
    Declined,
    Outcome,
    Succeeded,
    Transaction,
    TransactionOutcome,
    TransactionType,
    Unknown,
)

__all__ = [
    "Declined",
    "Outcome",
    "Payment",
    "PaymentDeclined",
    "PaymentNotFound",
    "PaymentState",
    "ProviderUnavailable",
    "RefundTooLarge",
    "SignatureInvalid",
    "StateConflict",
    "Succeeded",
    "Transaction",
    "TransactionOutcome",
    "TransactionType",
    "Unknown",
    "begun",
]
