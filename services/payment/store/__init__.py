"""The queries of the payment service.

PaymentStore        payments, and what was asked of the provider for each
UnansweredStore     which of them the provider is to be asked about again
RecordStore         what is written down, as a reconciliation compares it
DiscrepancyStore    what reconciliations have found, and when they ran
"""

from services.payment.store._discrepancies import DiscrepancyStore
from services.payment.store._payments import PaymentStore, Verb
from services.payment.store._records import RecordStore
from services.payment.store._unanswered import Due, Unanswered, UnansweredStore

__all__ = [
    "DiscrepancyStore",
    "Due",
    "PaymentStore",
    "RecordStore",
    "Unanswered",
    "UnansweredStore",
    "Verb",
]
