"""The saga: effects that were not answered, leases, orders that take too long."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from itertools import product as each_pair
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import grpc.aio
import pytest

from services.mesh import database
from services.order.domain import Reason
from services.order.settings import Settings
from services.order.store import LeaseLost, LeaseStore
from souk.order.v1 import order_pb2
from tests.conftest import Eventually
from tests.integration.order.conftest import Shop, create_order, person, refusal, serving
from tests.integration.order.faults import AFTER, BEFORE
from tests.integration.order.stand_ins import World

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EFFECTS = ("ReserveStock", "Authorize", "CommitReservation", "Capture")
POINTS = list(each_pair(EFFECTS, (BEFORE, AFTER)))


@pytest.mark.parametrize(
    "code", [UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL]
)
async def test_what_was_not_answered_is_repeated(shop: Shop, code: grpc.StatusCode) -> None:
    """An effect without a definite answer, done or not, is asked for again under the same key."""
    products = [shop.world.warehouse.add(stock=5) for _ in POINTS]
    for product_id, (rpc, when) in zip(products, POINTS, strict=True):
        shop.world.faults.fail(rpc, product_id, code, when=when)
    orders = await asyncio.gather(
        *(shop.place(create_order(product_id), person()) for product_id in products)
    )
    assert {order.state for order in orders} == {order_pb2.ORDER_STATE_CONFIRMED}
    assert [shop.world.warehouse.stock(each) for each in products] == [(4, 0, 1)] * len(POINTS)
    assert shop.world.till.takings == {order.order_id: 1 for order in orders}
    assert {len(requests) for requests in shop.world.till.keys.values()} == {1}


async def test_an_overdue_order_is_undone(shop: Shop) -> None:
    """An order that can't be paid in time ends as expired, or as refunded if money was taken."""
    products = [shop.world.warehouse.add(stock=5) for _ in POINTS]
    faults = [
        shop.world.faults.fail(rpc, product_id, UNAVAILABLE, when=when, times=1_000)
        for product_id, (rpc, when) in zip(products, POINTS, strict=True)
    ]
    calls = [shop.place(create_order(product_id), person()) for product_id in products]
    placing = asyncio.gather(*calls)
    for fault in faults:
        await fault.reached.wait()
    await shop.conn.execute("UPDATE orders SET pay_by = clock_timestamp()")
    orders = await placing
    assert {order.state_reason for order in orders} == {order_pb2.ERROR_REASON_TIMED_OUT}
    # All but the last were never paid for: their money was at most set aside.
    ends = [await shop.state(order.order_id) for order in orders]
    assert ends == ["EXPIRED"] * (len(POINTS) - 1) + ["REFUNDED"]
    assert [shop.world.warehouse.stock(each) for each in products] == [(5, 0, 0)] * len(POINTS)
    assert shop.world.till.returns == shop.world.till.takings == {orders[-1].order_id: 1}
    left = {shop.world.till.state(order.order_id) for order in orders}
    assert left == {"", "PAYMENT_STATE_VOIDED", "PAYMENT_STATE_REFUNDED"}


async def test_a_lapsed_reservation_is_never_charged(shop: Shop, eventually: Eventually) -> None:
    """Stock whose reservation ran out during the payment is not sold: the order is rejected."""
    product_id = shop.world.warehouse.add(stock=5)
    fault = shop.world.faults.hang("Authorize", product_id, when=AFTER)
    placing = asyncio.create_task(refusal(shop.place(create_order(product_id), person())))
    await fault.reached.wait()
    order_id = await shop.order_about(product_id)
    shop.world.warehouse.lapse(order_id)
    fault.ended.set()
    error = await placing
    assert (error.reason, error.metadata["order_id"]) == ("RESERVATION_EXPIRED", order_id)
    await eventually(lambda: shop.is_in(order_id, "REJECTED"))
    assert shop.world.till.takings == {}
    assert shop.world.till.state(order_id) == "PAYMENT_STATE_VOIDED"


async def test_a_drain_hands_its_orders_on(
    world: World,
    settings: Settings,
    conn: "asyncpg.Connection[asyncpg.Record]",
    eventually: Eventually,
) -> None:
    """A process that ends in the middle of a step gives its orders to another, which finishes."""
    product_id = world.warehouse.add(stock=5)
    fault = world.faults.hang("Capture", product_id, when=AFTER)
    async with serving(settings) as stub:
        shop = Shop(world=world, conn=conn, stub=stub)
        call = asyncio.create_task(_ended(shop.place(create_order(product_id), person())))
        await fault.reached.wait()
        world.faults.clear()
    await call
    async with serving(settings):
        order_id = await shop.order_about(product_id)
        # Less than the lease lasts.
        await eventually(lambda: shop.is_in(order_id, "CONFIRMED"), seconds=2)
    assert world.till.takings == {order_id: 1}


async def test_a_lost_lease_writes_nothing(shop: Shop, settings: Settings) -> None:
    """Who comes back after the lease was taken over can't write; who took it over can."""
    product_id = shop.world.warehouse.add()
    shop.world.faults.hang("ReserveStock", product_id, when=BEFORE)
    await shop.place(create_order(product_id), person(), seconds=1)
    order_id = UUID(await shop.order_about(product_id))
    async with database.pool(settings.database_url.reveal()) as db:
        leases = LeaseStore(db, duration=timedelta(milliseconds=1))
        await shop.conn.execute("UPDATE orders SET lease_expires_at = NULL")
        first = await leases.acquire(order_id)
        assert first is not None
        await asyncio.sleep(0.01)  # the lease is to run out
        second = await leases.acquire(order_id)
        assert second is not None
        with pytest.raises(LeaseLost):
            await leases.record(first, first.order.stock_reserved())
        await leases.record(second, second.order.undo(Reason.TIMED_OUT))
    assert await shop.path(str(order_id)) == ["PENDING", "CANCELLING"]


async def test_a_lease_is_held_by_one(shop: Shop, settings: Settings) -> None:
    """Of many who want the same order at the same time one gets it."""
    product_id = shop.world.warehouse.add()
    shop.world.faults.hang("ReserveStock", product_id, when=BEFORE)
    await shop.place(create_order(product_id), person(), seconds=1)
    async with database.pool(settings.database_url.reveal()) as db:
        leases = LeaseStore(db, duration=timedelta(seconds=30))
        await shop.conn.execute(
            "UPDATE orders SET lease_expires_at = NULL, next_attempt_at = now()"
        )
        taken = await asyncio.gather(*(leases.acquire_due(5) for _ in range(8)))
    assert sum(len(each) for each in taken) <= 1


async def _ended(call: Awaitable[Any]) -> None:
    await asyncio.gather(call, return_exceptions=True)
