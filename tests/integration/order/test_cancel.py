"""CancelOrder in every state of an order."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

import grpc.aio
import pytest

from services.mesh.ids import new_id
from souk.order.v1 import order_pb2
from souk.order.v1.order_events_pb2 import OrderCancelled
from souk.order.v1.order_service_pb2 import (
    CancelOrderRequest,
    MarkDeliveredRequest,
    ShipOrderRequest,
)
from tests.conftest import Eventually
from tests.integration.order.conftest import (
    DECLINED,
    Person,
    Shop,
    create_order,
    person,
    refusal,
)
from tests.integration.order.faults import AFTER, BEFORE


def cancel(shop: Shop, order_id: str, who: Person) -> Awaitable[Any]:
    """Calls CancelOrder."""
    request = CancelOrderRequest(order_id=order_id)
    return shop.stub.CancelOrder(request, metadata=who.metadata)


@pytest.mark.parametrize(
    ("rpc", "when", "state", "ends"),
    [
        ("ReserveStock", BEFORE, "PENDING", "CANCELLED"),
        ("ReserveStock", AFTER, "PENDING", "CANCELLED"),
        ("Authorize", BEFORE, "STOCK_RESERVED", "CANCELLED"),
        ("Authorize", AFTER, "STOCK_RESERVED", "CANCELLED"),
        ("CommitReservation", AFTER, "PAYMENT_AUTHORIZED", "CANCELLED"),
        ("Capture", BEFORE, "STOCK_COMMITTED", "CANCELLED"),
        ("Capture", AFTER, "STOCK_COMMITTED", "REFUNDED"),
    ],
)
async def test_an_order_in_the_making_is_cancelled(
    shop: Shop, rpc: str, when: str, state: str, ends: str
) -> None:
    """It is undone at once, and what was still on its way changes nothing when it arrives."""
    product_id, customer = shop.world.warehouse.add(stock=5), person()
    fault = shop.world.faults.hang(rpc, product_id, when=when)
    placing = asyncio.create_task(shop.place(create_order(product_id), customer))
    await fault.reached.wait()
    order_id = await shop.order_about(product_id)
    assert await shop.state(order_id) == state
    cancelled = await cancel(shop, order_id, customer)
    assert cancelled.order.state_reason == order_pb2.ERROR_REASON_CANCELLED_ON_REQUEST
    assert await shop.state(order_id) == ends
    fault.ended.set()
    assert (await placing).state == cancelled.order.state
    assert await shop.state(order_id) == ends
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)
    assert shop.world.till.takings[order_id] == shop.world.till.returns[order_id]


async def test_a_confirmed_order_is_refunded(shop: Shop) -> None:
    """Money goes back, stock goes back, and the history says who asked for it."""
    product_id, customer = shop.world.warehouse.add(stock=5), person()
    order = await shop.place(create_order(product_id), customer)
    cancelled = await cancel(shop, order.order_id, customer)
    assert cancelled.order.state == order_pb2.ORDER_STATE_REFUNDED
    assert (await shop.path(order.order_id))[-3:] == ["CONFIRMED", "CANCELLING", "REFUNDED"]
    assert (await shop.actors(order.order_id))[-2:] == ["customer", "saga"]
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)
    assert shop.world.till.returns[order.order_id] == 1


async def test_cancelling_twice_changes_nothing(shop: Shop) -> None:
    """The second call answers as the first, and no money goes back twice."""
    product_id, customer = shop.world.warehouse.add(), person()
    order = await shop.place(create_order(product_id), customer)
    answers = [await cancel(shop, order.order_id, customer) for _ in range(2)]
    assert answers[0] == answers[1]
    assert shop.world.till.returns[order.order_id] == 1


async def test_ten_cancellations_at_once_are_one(shop: Shop) -> None:
    """Ten calls at the same time undo the order once."""
    product_id, customer = shop.world.warehouse.add(stock=5), person()
    order = await shop.place(create_order(product_id), customer)
    await asyncio.gather(*(cancel(shop, order.order_id, customer) for _ in range(10)))
    assert await shop.state(order.order_id) == "REFUNDED"
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)
    assert shop.world.till.returns[order.order_id] == 1


async def test_an_unanswered_refund_is_repeated(shop: Shop, eventually: Eventually) -> None:
    """A refund without an answer is asked for again until it is known."""
    product_id, customer = shop.world.warehouse.add(), person()
    order = await shop.place(create_order(product_id), customer)
    shop.world.faults.fail("Refund", product_id, grpc.StatusCode.UNAVAILABLE, when=AFTER, times=2)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await cancel(shop, order.order_id, customer)
    await eventually(lambda: shop.is_in(order.order_id, "REFUNDED"))
    assert shop.world.till.returns[order.order_id] == 1


async def test_a_refused_refund_ends_the_order_with_the_truth(shop: Shop) -> None:
    """Money that the provider keeps for good is asked for no more, and the order says so."""
    product_id, customer = shop.world.warehouse.add(stock=5), person()
    order = await shop.place(create_order(product_id), customer)
    shop.world.till.keeps.add(order.order_id)
    cancelled = await cancel(shop, order.order_id, customer)
    assert cancelled.order.state == order_pb2.ORDER_STATE_CANCELLED
    assert cancelled.order.refund_refused
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)
    assert shop.world.till.returns[order.order_id] == 0
    assert (await shop.row(order.order_id))["next_attempt_at"] is None
    payload = OrderCancelled()
    payload.ParseFromString(await shop.last_event(order.order_id))
    assert payload.refund_refused


async def test_a_refused_void_ends_the_order_with_the_truth(shop: Shop) -> None:
    """Money that stays set aside because the provider refuses to void it is told of likewise."""
    product_id, customer = shop.world.warehouse.add(stock=5), person()
    fault = shop.world.faults.hang("CommitReservation", product_id, when=BEFORE)
    placing = asyncio.create_task(shop.place(create_order(product_id), customer))
    await fault.reached.wait()
    order_id = await shop.order_about(product_id)
    shop.world.till.keeps.add(order_id)
    cancelled = await cancel(shop, order_id, customer)
    fault.ended.set()
    await placing
    assert cancelled.order.refund_refused
    assert await shop.state(order_id) == "CANCELLED"
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)


async def test_money_the_staff_gave_back_is_not_given_back_again(shop: Shop) -> None:
    """An order whose payment was refunded by hand can still be cancelled."""
    product_id, customer = shop.world.warehouse.add(), person()
    order = await shop.place(create_order(product_id), customer)
    shop.world.till.refund_by_hand(order.order_id)
    cancelled = await cancel(shop, order.order_id, customer)
    assert cancelled.order.state == order_pb2.ORDER_STATE_REFUNDED
    assert shop.world.till.returns[order.order_id] == 1


async def test_what_has_shipped_is_not_cancelled(shop: Shop) -> None:
    """An order on its way, or arrived, is refused with its state."""
    customer, staff = person(), person("fulfilment")
    order = await shop.place(create_order(shop.world.warehouse.add()), customer)
    await shop.stub.ShipOrder(ShipOrderRequest(order_id=order.order_id), metadata=staff.metadata)
    shipped = await refusal(cancel(shop, order.order_id, customer))
    await shop.stub.MarkDelivered(
        MarkDeliveredRequest(order_id=order.order_id), metadata=staff.metadata
    )
    delivered = await refusal(cancel(shop, order.order_id, customer))
    assert [(each.code, each.reason, each.metadata["state"]) for each in (shipped, delivered)] == [
        ("FAILED_PRECONDITION", "STATE_CONFLICT", "ORDER_STATE_SHIPPED"),
        ("FAILED_PRECONDITION", "STATE_CONFLICT", "ORDER_STATE_DELIVERED"),
    ]


async def test_a_rejected_order_is_not_cancelled(shop: Shop) -> None:
    """An order that was rejected is refused with its state."""
    customer = person()
    request = create_order(shop.world.warehouse.add(), token=DECLINED)
    order_id = (await refusal(shop.place(request, customer))).metadata["order_id"]
    error = await refusal(cancel(shop, order_id, customer))
    assert (error.reason, error.metadata["state"]) == ("STATE_CONFLICT", "ORDER_STATE_REJECTED")


async def test_another_s_order_is_not_there(shop: Shop) -> None:
    """Cancelling another's order, or none, fails alike, and the order stays as it is."""
    order = await shop.place(create_order(shop.world.warehouse.add()), person())
    others = await refusal(cancel(shop, order.order_id, person()))
    missing = await refusal(cancel(shop, str(new_id()), person()))
    assert (others.code, others.message) == ("NOT_FOUND", missing.message)
    assert await shop.state(order.order_id) == "CONFIRMED"


async def test_support_cancels_for_a_customer(shop: Shop) -> None:
    """The staff may cancel anybody's order; the history says that they did."""
    order = await shop.place(create_order(shop.world.warehouse.add()), person())
    await cancel(shop, order.order_id, person("support"))
    assert (await shop.actors(order.order_id))[-2:] == ["staff", "saga"]
