"""The queries of the payment service.

PaymentStore        payments, and what was asked of the provider for each
RecordStore         what is written down, as a reconciliation compares it
DiscrepancyStore    what reconciliations have found, and when they ran
"""

from services.payment.store._discrepancies import DiscrepancyStore
from services.payment.store._payments import Due, PaymentStore, Unanswered, Verb
from services.payment.store._records import RecordStore

__all__ = ["DiscrepancyStore", "Due", "PaymentStore", "RecordStore", "Unanswered", "Verb"]
