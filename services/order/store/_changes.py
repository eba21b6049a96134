"""Tells those who wait when an order changes, by one listening connection for the whole process.

A watcher is only told that there is something to read; what it reads is the order as it is then.
So a slow watcher keeps nothing waiting for it, and a lost notification costs it one poll.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from typing import Never
from uuid import UUID

from services.mesh import backoff
from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError
from services.order.domain import FINAL, Order
from services.order.store._orders import OrderStore
from services.order.store._rows import CHANGED, DUE

_PROBE_SECONDS = 10


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
        async with self._db.connection() as conn:
            await conn.add_listener(CHANGED, self._on_changed)
            await conn.add_listener(DUE, self._on_due)
            try:
                self._wake_everybody()
                await _until_lost(conn)
            finally:
                await conn.remove_listener(CHANGED, self._on_changed)
                await conn.remove_listener(DUE, self._on_due)

    def _on_changed(self, _conn: object, _pid: int, _channel: str, order_id: object) -> None:
        for changed in self._watchers.get(str(order_id), ()):
            changed.set()

    def _on_due(self, *_: object) -> None:
        self.due.set()

    def _wake_everybody(self) -> None:
        """Has everybody read again, since nobody listened until now."""
        self.due.set()
        for watchers in self._watchers.values():
            for changed in watchers:
                changed.set()


async def _until_lost(conn: Connection) -> Never:
    """Raises what the database raises once the connection is gone, even if cut without a word."""
    lost = asyncio.Event()
    conn.add_termination_listener(lambda *_: lost.set())
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_SECONDS):
                await lost.wait()
        await conn.execute("SELECT 1")
