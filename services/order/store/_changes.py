"""Tells those who wait when an order changes, by one listening connection for the whole process.

A watcher is only told that there is something to read; what it reads is the order as it is then.
So a slow watcher keeps nothing waiting for it, and a lost notification costs it one poll.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

from services.mesh import backoff, waiting
from services.mesh.database import Database
from services.mesh.errors import DomainError
from services.mesh.listen import listen
from services.mesh.waiting import Watchers
from services.order.domain import FINAL, Order
from services.order.store._orders import OrderStore
from services.order.store._rows import CHANGED, DUE


class OrderChanges:
    """Changes of orders. `poll`: how long a lost notification can go unnoticed.

    `due` is set when an order may wait for a worker. `watchers` are those who follow an order.
    """

    def __init__(self, db: Database, orders: OrderStore, *, poll: timedelta) -> None:
        self._db = db
        self._orders = orders
        self._poll_seconds = poll.total_seconds()
        self.watchers = Watchers()
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
        with self.watchers.watching(str(order_id)) as changed:
            while True:
                changed.clear()
                order = await self._orders.get(order_id, visible_to=visible_to)
                if order.sequence > known:
                    known = order.sequence
                    yield order
                if order.state in FINAL:
                    return
                await waiting.set_within(changed, self._poll_seconds)

    async def _listen(self) -> None:
        handlers = {CHANGED: self.watchers.wake, DUE: lambda _: self.due.set()}
        await listen(self._db, handlers, begun=self._wake_everybody)

    def _wake_everybody(self) -> None:
        """Has everybody read again, since nobody listened until now."""
        self.due.set()
        self.watchers.wake_everybody()
