"""What was asked of the provider, and what it answered."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.mesh.amount import Amount


class TransactionType(StrEnum):
    """What is asked of the provider."""

    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"


class TransactionOutcome(StrEnum):
    """What is known of the answer when a transaction is written down."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The provider did it; `reference` is its own name for it."""

    reference: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider refused, for good; `reference` is its own name for that."""

    reference: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider did not answer, or not in a way that tells what became of it."""


Outcome = Succeeded | Declined | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One line of what was done with the provider; an operation has one to three of them.

    PENDING is written before the provider is asked, UNKNOWN when it did not answer the first time,
    SUCCEEDED or DECLINED, the definite outcomes, when it has. `provider_reference` is empty if none
    is known.
    """

    transaction_id: UUID
    provider_key: str
    type: TransactionType
    outcome: TransactionOutcome
    amount: Amount
    provider_reference: str
    create_time: datetime

    @property
    def definite(self) -> bool:
        """True if it tells what the provider answered for good."""
        return self.outcome in (TransactionOutcome.SUCCEEDED, TransactionOutcome.DECLINED)
