"""Goes through the provider's ledger, our own records and the orders, and tells what disagrees.

every operation of the provider    ── is it written down here, and alike?
every operation done here          ── does the provider have it?
every operation without an answer  ── for how long?
all money set aside or taken       ── does the order want it?
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.payment.clients import Orders
from services.payment.domain import (
    Finding,
    HeldMoney,
    ProviderOperation,
    ProviderUnavailable,
    Unknown,
    comparison,
)
from services.payment.provider import Provider
from services.payment.store import RecordStore

_EVER = datetime(2000, 1, 1, tzinfo=UTC)
_AT_A_TIME = 8

# An order may be undone long after it was paid for, without any call to payment that fails.
_ORDERS_LATER = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Looks at what happened from `since`, None for ever, to `until`."""

    since: datetime | None
    until: datetime

    @property
    def begin(self) -> datetime:
        """The first moment that is looked at."""
        return self.since or _EVER


class Comparing:
    """One going through. `patience`: how long an operation may be without an answer.

    `operation_count` counts the provider's operations that were looked at.
    """

    def __init__(
        self, *, records: RecordStore, provider: Provider, orders: Orders, patience: timedelta
    ) -> None:
        self._records = records
        self._provider = provider
        self._orders = orders
        self._patience = patience
        self._seen: set[str] = set()

    @property
    def operation_count(self) -> int:
        """How many of the provider's operations were looked at."""
        return len(self._seen)

    async def findings(self, window: Window) -> AsyncGenerator[Finding, None]:
        """Yields what disagrees. Raises ProviderUnavailable and Unavailable."""
        for part in (self._at_provider, self._done_here, self._unanswered, self._held):
            async for finding in part(window):
                yield finding

    async def _at_provider(self, window: Window) -> AsyncGenerator[Finding, None]:
        page = ""
        while True:
            some = await self._provider.list_operations(since=window.begin, page=page)
            # What is younger may not be written down yet.
            settled = [each for each in some.operations if each.create_time <= window.until]
            for finding in await self._compared(settled):
                yield finding
            page = some.next_page
            if not page:
                return

    async def _compared(self, operations: list[ProviderOperation]) -> list[Finding]:
        keys = {each.key for each in operations}
        self._seen |= keys
        followed = {each.follows for each in operations if each.follows}
        ours = await self._records.operations(keys | followed)
        findings = [
            comparison.with_provider(each, ours.get(each.key), ours.get(each.follows or ""))
            for each in operations
        ]
        return [each for each in findings if each is not None]

    async def _done_here(self, window: Window) -> AsyncGenerator[Finding, None]:
        async for some in self._records.done(window.begin, window.until):
            for key in some.keys() - self._seen:
                if await self._is_unknown_to_provider(key):
                    yield comparison.without_provider(some[key])

    async def _unanswered(self, window: Window) -> AsyncGenerator[Finding, None]:
        for each in await self._records.unanswered(at=window.until, since=self._patience):
            if each.key not in self._seen:
                yield comparison.without_provider(each)

    async def _held(self, window: Window) -> AsyncGenerator[Finding, None]:
        begin = max(window.begin - _ORDERS_LATER, _EVER)
        async for some in self._records.held(begin, window.until):
            for start in range(0, len(some), _AT_A_TIME):
                asked = some[start : start + _AT_A_TIME]
                for finding in await asyncio.gather(*map(self._with_order, asked)):
                    if finding is not None:
                        yield finding

    async def _with_order(self, held: HeldMoney) -> Finding | None:
        return comparison.with_order(held, await self._orders.facts(held.order_id))

    async def _is_unknown_to_provider(self, key: str) -> bool:
        outcome = await self._provider.lookup(key)
        if isinstance(outcome, Unknown):
            raise ProviderUnavailable("the payment provider has not answered")
        return outcome is None
