"""Watching stock, over levels that the test sets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.mesh.errors import ResourceExhausted, Unavailable
from services.product.domain.product import ProductNotFound
from services.product.stock_watch import StockLevel, StockWatch

START = datetime(2026, 11, 23, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


class Shelf:
    """What the database would tell; counts how often it is asked."""

    def __init__(self) -> None:
        self.stock = {A: 1, B: 2}
        self.now = START
        self.down = False
        self.reads: list[set[UUID]] = []

    async def levels(self, product_ids: Collection[UUID]) -> tuple[dict[UUID, int], datetime]:
        """Tell the levels."""
        self.reads.append(set(product_ids))
        if self.down:
            raise Unavailable("down")
        return {each: self.stock[each] for each in product_ids if each in self.stock}, self.now

    def change(self, product_id: UUID, stock: int) -> None:
        """Let time pass and the stock be another."""
        self.now += timedelta(seconds=1)
        self.stock[product_id] = stock


@asynccontextmanager
async def watching(shelf: Shelf, *, limit: int = 10) -> AsyncIterator[StockWatch]:
    """Run a watch over the shelf."""
    watch = StockWatch(shelf.levels, interval=timedelta(milliseconds=1), limit=limit)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(watch.run())
        yield watch
        running.cancel()


async def following(levels: AsyncGenerator[StockLevel, None]) -> int:
    """Return the stock told next."""
    return (await anext(levels)).stock


async def test_all_watchers_of_a_product_share_its_reading():
    """However many watch, an interval asks once, for all products together."""
    shelf = Shelf()
    async with watching(shelf) as watch:
        streams = [watch.watch(each) for each in (A, A, A, B)]
        first = [await following(stream) for stream in streams]
        shelf.reads.clear()
        shelf.change(A, 5)
        second = [await following(stream) for stream in streams[:3]]
        for stream in streams:
            await stream.aclose()

    assert (first, second) == ([1, 1, 1, 2], [5, 5, 5])
    assert all(read == {A, B} for read in shelf.reads)


async def test_a_slow_watcher_is_told_the_last_level():
    """It misses what was between."""
    shelf = Shelf()
    async with watching(shelf) as watch, aclosing(watch.watch(A)) as slow:
        async with aclosing(watch.watch(A)) as quick:
            assert [await following(slow), await following(quick)] == [1, 1]
            for stock in (2, 3, 4):
                shelf.change(A, stock)
                assert await following(quick) == stock

        assert await following(slow) == 4


async def test_an_older_reading_changes_nothing():
    """A reading that comes late does not take back a newer level."""
    shelf = Shelf()
    async with watching(shelf) as watch, aclosing(watch.watch(A)) as levels:
        assert await following(levels) == 1
        shelf.stock[A], shelf.now = 7, START - timedelta(seconds=1)
        reads = len(shelf.reads)
        while len(shelf.reads) < reads + 3:
            await asyncio.sleep(0)
        shelf.now = START
        shelf.change(A, 9)

        assert await following(levels) == 9


async def test_watchers_are_told_when_the_stock_cannot_be_read():
    """Each stream ends with Unavailable; who comes later, when it can, is served."""
    shelf = Shelf()
    async with watching(shelf) as watch:
        streams = [watch.watch(A), watch.watch(A)]
        for stream in streams:
            await following(stream)
        shelf.down = True
        for stream in streams:
            with pytest.raises(Unavailable):
                await following(stream)
        shelf.down = False
        async with aclosing(watch.watch(A)) as later:
            assert await following(later) == 1


async def test_no_more_watch_than_may():
    """One too many is refused until another leaves."""
    async with watching(Shelf(), limit=1) as watch:
        async with aclosing(watch.watch(A)) as levels:
            await following(levels)
            with pytest.raises(ResourceExhausted):
                await following(watch.watch(B))
        async with aclosing(watch.watch(B)) as levels:
            assert await following(levels) == 2


async def test_what_does_not_exist_is_not_watched():
    """The stream fails, and the product is not read for any more."""
    shelf = Shelf()
    async with watching(shelf) as watch:
        with pytest.raises(ProductNotFound):
            await following(watch.watch(UUID(int=9)))
        shelf.reads.clear()
        async with aclosing(watch.watch(A)) as levels:
            await following(levels)

    assert all(UUID(int=9) not in read for read in shelf.reads)
