"""Tells those who wait when an order changes, by one listening connection for the whole process.

A watcher is only told that there is something to read; what it reads is the order as it is then.
So a slow watcher keeps nothing waiting for it, and a lost notification costs it one poll.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from uuid import UUID

from services.mesh import backoff
from services.mesh.database import Database
from services.mesh.errors import DomainError
from services.mesh.listen import listen
from services.order.domain import FINAL, Order
from services.order.store._orders import OrderStore
from services.order.store._rows import CHANGED, DUE


class OrderChanges:
    """Changes of orders. `poll`: how long a lost notification can go unnoticed.

    `due` is set when an order may wait for a worker.
    """

    def __init__(self, db: Database, orders: OrderStore, *, poll: timedelta) -> None:
        self._db = db
        self._orders = orders
        self._poll_seconds = poll.total_seconds()
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.due = asyncio.Event()

    async def run(self) -> None:
        """Listens until cancelled, through every outage of the database."""
        await backoff.repeat(self._listen, despite=(DomainError,), name="order changes")

    async def follow(
        self, order_id: UUID, *, visible_to: UUID | None
    ) -> AsyncGenerator[Order, None]:
        """Yields the order now and whenever it was found changed; ends after a final state.

        Raises OrderNotFound.
        """
        known = 0
        with self._watch(str(order_id)) as changed:
            while True:
                changed.clear()
                order = await self._orders.get(order_id, visible_to=visible_to)
                if order.sequence > known:
                    known = order.sequence
                    yield order
                if order.state in FINAL:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await changed.wait()

    @property
    def follower_count(self) -> int:
        """How many follow an order now."""
        return sum(len(watchers) for watchers in self._watchers.values())

    @contextlib.contextmanager
    def _watch(self, order_id: str) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._watchers[order_id].add(changed)
        try:
            yield changed
        finally:
            self._watchers[order_id].discard(changed)
            if not self._watchers[order_id]:
                del self._watchers[order_id]

    async def _listen(self) -> None:
        handlers = {CHANGED: self._wake_watchers, DUE: lambda _: self.due.set()}
        await listen(self._db, handlers, begun=self._wake_everybody)

    def _wake_watchers(self, order_id: str) -> None:
        for changed in self._watchers.get(order_id, ()):
            changed.set()

    def _wake_everybody(self) -> None:
        """Has everybody read again, since nobody listened until now."""
        self.due.set()
        for order_id in self._watchers:
            self._wake_watchers(order_id)
