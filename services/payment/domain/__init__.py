"""Payments and their rules, without I/O.

payment, transaction, errors              a payment's life
provider_operation                        the same as the provider's ledger has it
discrepancy, comparison                   where the two, or the orders, disagree
"""

from services.payment.domain.discrepancy import (
    Discrepancy,
    DiscrepancyType,
    Finding,
    HeldMoney,
    OrderFacts,
    RecordedOperation,
    Repair,
    Resolution,
)
from services.payment.domain.errors import (
    PaymentDeclined,
    PaymentNotFound,
    ProviderUnavailable,
    RefundTooLarge,
    SignatureInvalid,
    StateConflict,
)
from services.payment.domain.payment import Payment, PaymentState, begun
from services.payment.domain.provider_operation import OperationPage, ProviderOperation
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
    "Discrepancy",
    "DiscrepancyType",
    "Finding",
    "HeldMoney",
    "OperationPage",
    "OrderFacts",
    "Outcome",
    "Payment",
    "PaymentDeclined",
    "PaymentNotFound",
    "PaymentState",
    "ProviderOperation",
    "ProviderUnavailable",
    "RecordedOperation",
    "RefundTooLarge",
    "Repair",
    "Resolution",
    "SignatureInvalid",
    "StateConflict",
    "Succeeded",
    "Transaction",
    "TransactionOutcome",
    "TransactionType",
    "Unknown",
    "begun",
]
