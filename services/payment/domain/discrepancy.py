"""Where what is written down here disagrees with the provider's ledger, or with the orders.

| what disagrees             | the one right answer, if there is one                       |
|----------------------------|-------------------------------------------------------------|
| UNKNOWN_HERE               | RECORD, if it follows an operation of ours                  |
| UNKNOWN_TO_PROVIDER        |                                                             |
| REFUNDED_AT_PROVIDER_ONLY  | RECORD, if it follows an operation of ours                  |
| REFUNDED_HERE_ONLY         |                                                             |
| OUTCOME_DIFFERS            | SETTLE, if no definite outcome is written down              |
| AMOUNT_DIFFERS             |                                                             |
| AUTHORIZED_FOR_DEAD_ORDER  | VOID                                                        |
| CAPTURED_FOR_DEAD_ORDER    | REFUND                                                      |
| ORDER_UNKNOWN              |                                                             |
| UNANSWERED                 | SETTLE: it is asked once more                               |

What has none, and what can't be repaired, is left to people.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.mesh.amount import Amount
from services.payment.domain.payment import PaymentState
from services.payment.domain.provider_operation import ProviderOperation
from services.payment.domain.transaction import TransactionOutcome, TransactionType


class DiscrepancyType(StrEnum):
    """What disagrees."""

    UNKNOWN_HERE = "UNKNOWN_HERE"
    UNKNOWN_TO_PROVIDER = "UNKNOWN_TO_PROVIDER"
    REFUNDED_AT_PROVIDER_ONLY = "REFUNDED_AT_PROVIDER_ONLY"
    REFUNDED_HERE_ONLY = "REFUNDED_HERE_ONLY"
    OUTCOME_DIFFERS = "OUTCOME_DIFFERS"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    AUTHORIZED_FOR_DEAD_ORDER = "AUTHORIZED_FOR_DEAD_ORDER"
    CAPTURED_FOR_DEAD_ORDER = "CAPTURED_FOR_DEAD_ORDER"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    UNANSWERED = "UNANSWERED"


class Resolution(StrEnum):
    """How a discrepancy was resolved."""

    REPAIRED = "REPAIRED"
    GONE = "GONE"


class Repair(StrEnum):
    """The one right answer to a finding."""

    RECORD = "RECORD"
    SETTLE = "SETTLE"
    VOID = "VOID"
    REFUND = "REFUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedOperation:
    """An operation as it is written down here; `outcome` is the last that is known."""

    key: str
    payment_id: UUID
    order_id: UUID
    type: TransactionType
    amount: Amount
    outcome: TransactionOutcome
    begin_time: datetime

    @property
    def is_refund(self) -> bool:
        """Whether money was to be given back."""
        return self.type is TransactionType.REFUND


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMoney:
    """The money of a payment that is AUTHORIZED or CAPTURED, since `update_time`."""

    payment_id: UUID
    order_id: UUID
    state: PaymentState
    amount: Amount
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What the order service says of an order; `is_dead`: it was undone, and that has ended."""

    is_dead: bool
    total: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a reconciliation has found.

    `provider_key` is empty if it is about the payment as a whole. `recorded` is the sum here,
    `other` that of the provider or the order. `occur_time`: when what it is about happened.
    `repair` is None if people must see to it; `operation` is what RECORD writes down.
    """

    type: DiscrepancyType
    detail: str
    occur_time: datetime
    payment_id: UUID | None = None
    order_id: UUID | None = None
    provider_key: str = ""
    recorded: Amount | None = None
    other: Amount | None = None
    repair: Repair | None = None
    operation: ProviderOperation | None = None

    @property
    def subject(self) -> str:
        """What it is about: there is one open discrepancy of a type about each subject."""
        return self.provider_key or str(self.payment_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A finding that was written down; `resolution` is None as long as it is open."""

    discrepancy_id: UUID
    finding: Finding
    create_time: datetime
    resolve_time: datetime | None
    resolution: Resolution | None
