"""Tells watchers of a product's stock.

    watchers of A ─┐
    watchers of A ─┼─ topic A ─┐
    watchers of B ─── topic B ─┴─ one query per interval for all

A topic holds the latest level alone: a slow watcher misses levels, never the last one, and costs no
memory. When the stock can't be read, every watcher is told so and its stream ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.mesh.errors import DomainError, ResourceExhausted, Unavailable
from services.product.domain.product import ProductNotFound

Levels = Callable[[Collection[UUID]], Awaitable[tuple[dict[UUID, int], datetime]]]
"""Gives the pieces to buy of each product that exists, and when they were counted."""

_log = structlog.get_logger(__name__)

_RETRY_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLevel:
    """How many pieces of a product there were to buy at a time of the database's clock."""

    product_id: UUID
    stock: int
    read_time: datetime


@dataclass(slots=True)
class _Topic:
    watchers: int = 0
    latest: StockLevel | None = None
    failed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, level: StockLevel) -> None:
        """Keep the level, unless a later one is known, and wake the watchers if it is another."""
        known = self.latest
        if known and level.read_time < known.read_time:
            return
        self.latest = level
        if known is None or level.stock != known.stock:
            self.wake()

    def wake(self) -> None:
        """Wake those who wait now; who comes later waits for the next time."""
        self.changed.set()
        self.changed = asyncio.Event()


class StockWatch:
    """The watched products. `run` must run beside the watchers.

    `interval`: how often the levels are read. `limit`: how many may watch at the same time.
    """

    def __init__(self, levels: Levels, *, interval: timedelta, limit: int) -> None:
        self._levels = levels
        self._interval = interval
        self._limit = limit
        self._topics: dict[UUID, _Topic] = {}

    async def watch(self, product_id: UUID) -> AsyncGenerator[StockLevel, None]:
        """Yield the level of a product at once, and whenever its stock is another.

        Raises ProductNotFound, ResourceExhausted when too many watch, Unavailable or
        DeadlineExceeded when the stock can't be read.
        """
        with self._topic(product_id) as topic:
            await self._read({product_id: topic})
            if topic.latest is None:
                raise ProductNotFound("there is no such product", product_id=str(product_id))
            told = None
            while True:
                latest, changed = topic.latest, topic.changed
                if topic.failed:
                    raise Unavailable("the stock cannot be read now", retry_after=_RETRY_AFTER)
                if told is None or latest.stock != told.stock:
                    told = latest
                    yield told
                else:
                    await changed.wait()

    async def run(self) -> None:
        """Read the levels of all watched products every interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            topics = dict(self._topics)
            if topics:
                await self._refresh(topics)

    async def _refresh(self, topics: Mapping[UUID, _Topic]) -> None:
        try:
            await self._read(topics)
        except DomainError as error:
            _log.warning("stock watch failed", reason=error.reason, error=error.message)
            for product_id, topic in topics.items():
                topic.failed = True
                topic.wake()
                # Who comes now begins anew.
                self._topics.pop(product_id, None)

    async def _read(self, topics: Mapping[UUID, _Topic]) -> None:
        levels, read_time = await self._levels(topics.keys())
        for product_id, stock in levels.items():
            level = StockLevel(product_id=product_id, stock=stock, read_time=read_time)
            topics[product_id].tell(level)

    @contextmanager
    def _topic(self, product_id: UUID) -> Iterator[_Topic]:
        """Enter a watcher of the product; it leaves at the end."""
        if sum(topic.watchers for topic in self._topics.values()) >= self._limit:
            raise ResourceExhausted("too many are watching", retry_after=_RETRY_AFTER)
        topic = self._topics.setdefault(product_id, _Topic())
        topic.watchers += 1
        try:
            yield topic
        finally:
            topic.watchers -= 1
            if not topic.watchers and self._topics.get(product_id) is topic:
                del self._topics[product_id]
