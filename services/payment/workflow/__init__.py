"""What crosses the border to the provider.

Payments        what is asked of the provider, one operation of a payment at a time
Reconciliation  what the provider says it has done, compared with what is written down here
"""

from services.payment.workflow._payments import Payments
from services.payment.workflow._reconciliation import Reconciliation, Summary

__all__ = ["Payments", "Reconciliation", "Summary"]
