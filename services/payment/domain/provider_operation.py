"""An operation as the provider's ledger has it."""

from dataclasses import dataclass
from datetime import datetime

from services.mesh.amount import Amount
from services.payment.domain.transaction import Declined, Succeeded, TransactionType


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOperation:
    """What the provider was asked for under `key`, and what came of it.

    `follows` is the key of the authorization or capture that it is about, None for an
    authorization. `amount` is None for a void.
    """

    key: str
    type: TransactionType
    follows: str | None
    amount: Amount | None
    outcome: Succeeded | Declined
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPage:
    """Some operations, the first first; `next_page` names those after them, empty for none."""

    operations: tuple[ProviderOperation, ...]
    next_page: str
