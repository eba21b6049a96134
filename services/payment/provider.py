"""The port to a payment provider.

Every call carries a key. The provider does an operation once per key, however often it is asked,
and answers a repeated call like the first. Operations name the one they follow by its key, which
is known even if its answer was lost.

No operation raises because of the provider: whatever goes wrong leaves the outcome `Unknown`. Each
call ends within a time that the adapter is given.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.mesh.amount import Amount
from services.payment.domain import OperationPage, Outcome


class Provider(Protocol):
    """A payment provider."""

    async def authorize(
        self, key: str, *, payment_id: UUID, amount: Amount, payment_token: str
    ) -> Outcome:
        """Sets money aside."""

    async def capture(self, key: str, *, authorization: str, amount: Amount) -> Outcome:
        """Takes money that the authorization with this key has set aside."""

    async def void(self, key: str, *, authorization: str) -> Outcome:
        """Undoes the authorization with this key, or keeps it from being done if it never came.

        Declined when its money was taken.
        """

    async def refund(self, key: str, *, capture: str, amount: Amount) -> Outcome:
        """Gives back money that the capture with this key has taken."""

    async def lookup(self, key: str) -> Outcome | None:
        """Returns what became of the operation with this key.

        None if the provider has not seen it, which does not say that it is not on its way.
        """

    async def list_operations(self, *, since: datetime, page: str) -> OperationPage:
        """Returns a page of all operations from `since` on, in the order they were answered in.

        `page` is empty for the first, then what the page before tells. Raises ProviderUnavailable.
        """
