"""The saga: effects that were not answered, leases, orders that take too long."""

import asyncio
from itertools import product as each_pair

import grpc
import grpc.aio
import pytest

from souk.order.v1 import order_pb2
from tests.conftest import Eventually
from tests.integration.order.conftest import Shop, create_order, person, refusal
from tests.integration.order.faults import AFTER, BEFORE

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
    assert [shop.world.till.takings[order.order_id] for order in orders] == [1] * len(POINTS)
    for order in orders:
        assert shop.world.till.keys_of(order.order_id) == {
            f"{order.order_id}:authorize",
            f"{order.order_id}:capture",
        }


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
    await shop.conn.execute(
        "UPDATE orders SET pay_by = clock_timestamp() WHERE order_id IN"
        " (SELECT order_id FROM order_lines WHERE product_id = ANY($1::uuid[]))",
        products,
    )
    orders = await placing
    assert {order.state_reason for order in orders} == {order_pb2.ERROR_REASON_TIMED_OUT}
    # All but the last were never paid for: their money was at most set aside.
    ends = [await shop.state(order.order_id) for order in orders]
    assert ends == ["EXPIRED"] * (len(POINTS) - 1) + ["REFUNDED"]
    assert [shop.world.warehouse.stock(each) for each in products] == [(5, 0, 0)] * len(POINTS)
    takings = [shop.world.till.takings[order.order_id] for order in orders]
    returns = [shop.world.till.returns[order.order_id] for order in orders]
    assert takings == returns == [0] * (len(POINTS) - 1) + [1]
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
    assert shop.world.till.takings[order_id] == 0
    assert shop.world.till.state(order_id) == "PAYMENT_STATE_VOIDED"
