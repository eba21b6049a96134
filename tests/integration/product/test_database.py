"""A database that is slow, gone or back, and the worker that sweeps it."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest

from services.local import ports
from services.local.program import running
from services.local.stores import mongo
from services.mesh.errors import DeadlineExceeded, Unavailable
from services.mesh.ids import new_id
from services.product import mongodb
from services.product.domain.product import Product, SkuTaken
from services.product.store import ProductStore
from services.product.worker import Sweeper
from tests.chaos.tcp_proxy import TcpProxy

from .conftest import Parts, details

TIMEOUT = timedelta(seconds=1)


async def test_no_database_is_unavailable():
    """Without a server every operation ends within its time, and readiness fails."""
    (port,) = ports.free()
    async with mongodb.connect(mongo.url(port), operation_timeout=TIMEOUT, name="test") as db:
        for operation in (db.now(), db.ready(), db.products.find_one({})):
            async with asyncio.timeout(60):
                with pytest.raises(Unavailable):
                    await operation


async def test_a_database_that_hangs_is_too_slow_and_then_good_again(tmp_path: Path):
    """An operation that gets no answer ends in DeadlineExceeded; when it goes on, so do we."""
    (port,) = ports.free()
    async with (
        running(mongo.program(tmp_path, port)) as process,
        mongodb.connect(mongo.url(port), operation_timeout=TIMEOUT, name="test") as db,
    ):
        await db.migrate()
        products = ProductStore(db)
        created = await products.create(sku="A", details=details(), stock=1)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(60):
                with pytest.raises((DeadlineExceeded, Unavailable)) as raised:
                    await products.get(created.product_id)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        async with asyncio.timeout(60):
            read = await _until_it_answers(products, created.product_id)

    assert raised.type is DeadlineExceeded
    assert read == created


async def test_a_farewell_to_a_database_that_hangs_holds_up_nobody(tmp_path: Path):
    """The client hangs up beside what else the process does, and does not wait for long."""
    (port,) = ports.free()
    async with running(mongo.program(tmp_path, port)) as process, AsyncExitStack() as stack:
        db = await stack.enter_async_context(
            mongodb.connect(mongo.url(port), operation_timeout=TIMEOUT, name="test")
        )
        await db.ready()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            closing = asyncio.create_task(stack.aclose())
            turns = 0
            async with asyncio.timeout(60):
                while not closing.done():
                    await asyncio.sleep(0.01)
                    turns += 1
        finally:
            os.kill(process.pid, signal.SIGCONT)
    assert turns > 2


async def test_indexes_are_built_in_their_own_time(mongo_url: str):
    """Those of a large collection take longer than an operation may."""
    short = TIMEOUT / 4
    address = urlsplit(mongo_url)
    async with TcpProxy(f"{address.hostname}:{address.port}") as proxy:
        url = urlunsplit(address._replace(netloc=proxy.address, path=f"/test_{new_id().hex}"))
        async with mongodb.connect(url, operation_timeout=short, name="test") as db:
            await _until_ready(db)
            proxy.backward.delay_seconds = 2 * short.total_seconds()
            await db.migrate()
            proxy.heal()
    async with mongodb.connect(
        urlunsplit(address._replace(path=urlsplit(url).path)),
        operation_timeout=timedelta(seconds=30),
        name="test",
    ) as db:
        products = ProductStore(db)
        await products.create(sku="A", details=details(), stock=1)
        with pytest.raises(SkuTaken):
            await products.create(sku="A", details=details(), stock=1)


async def test_the_worker_puts_back_what_expires(parts: Parts):
    """By the database's own clock, without anybody asking for the product."""
    product_id = await parts.product(stock=3)
    span = timedelta(milliseconds=50)
    await parts.reservations.reserve(new_id(), {product_id: 3}, span)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        sweeping = group.create_task(Sweeper(parts.stock, interval=span).run())
        while await parts.stock_of(product_id) == 0:
            await asyncio.sleep(0.01)
        sweeping.cancel()

    assert await parts.stock_of(product_id) == 3


async def test_the_worker_outlives_a_failing_database(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
):
    """A sweep that fails is tried again."""
    product_id = await parts.product(stock=3)
    await parts.reservations.reserve(new_id(), {product_id: 3}, timedelta(0))
    sweep, failures = parts.stock.sweep, iter([Unavailable("down"), DeadlineExceeded("slow")])

    async def failing_at_first() -> int:
        for failure in failures:
            raise failure
        return await sweep()

    monkeypatch.setattr(parts.stock, "sweep", failing_at_first)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        sweeping = group.create_task(Sweeper(parts.stock, interval=timedelta(seconds=60)).run())
        while await parts.stock_of(product_id) == 0:
            await asyncio.sleep(0.01)
        sweeping.cancel()

    assert await parts.stock_of(product_id) == 3


async def _until_ready(db: mongodb.Database) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await db.ready()
            except (DeadlineExceeded, Unavailable):
                await asyncio.sleep(0.05)


async def _until_it_answers(products: ProductStore, product_id: UUID) -> Product:
    while True:
        try:
            return await products.get(product_id)
        except (DeadlineExceeded, Unavailable):
            await asyncio.sleep(0.05)
