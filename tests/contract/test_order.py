"""Every RPC of the order service answers, and every error that its contract tells of is given.

Product and payment are the real ones, and so is the provider behind payment.
"""

from queue import SimpleQueue
from typing import Any

import pytest
from google.type.money_pb2 import Money

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.order.v1 import order_pb2
from souk.order.v1 import order_service_pb2 as pb
from souk.order.v1.order_service_pb2_grpc import OrderServiceStub
from souk.product.v1 import product_pb2
from souk.product.v1.product_service_pb2_grpc import ProductServiceStub
from tests.contract import test_product
from tests.contract.conftest import ChannelAs
from tests.contract.shop import CUSTOMER, Shop
from tests.contract.tables import (
    Desk,
    Entry,
    check_is_answered,
    check_is_complete,
    check_is_refused,
    eventually,
    first,
)


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the order service."""
    return "order"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrderServiceStub]:
    """Calls it by its generated stub."""
    return OrderServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: OrderServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def product(desk: Desk, **fields: Any) -> product_pb2.Product:
    """Add a product to the catalogue."""
    return test_product.create(desk.at("product", ProductServiceStub), **fields)


def purchase(*products: product_pb2.Product, **fields: Any) -> pb.CreateOrderRequest:
    """Return a request to buy one piece of each product, or so many as `quantity` says."""
    quantity = fields.pop("quantity", 1)
    items = [
        order_pb2.OrderItem(product_id=each.product_id, quantity=quantity) for each in products
    ]
    defaults = {"request_id": str(new_id()), "payment_token": "tok_ok"}
    return pb.CreateOrderRequest(items=items, **{**defaults, **fields})


def customer(desk: Desk) -> list[tuple[str, str]]:
    """Return the metadata of the customer who buys."""
    return desk.person(user_id=CUSTOMER)


def buy(desk: Desk, *products: product_pb2.Product, **fields: Any) -> order_pb2.Order:
    """Place an order, for a new product if none is given."""
    request = purchase(*(products or [product(desk)]), **fields)
    response: pb.CreateOrderResponse = desk.call("CreateOrder", request, customer(desk))
    return response.order


def cancel(desk: Desk) -> pb.CancelOrderResponse:
    """Buy something and think better of it."""
    response: pb.CancelOrderResponse = desk.call(
        "CancelOrder", pb.CancelOrderRequest(order_id=buy(desk).order_id), customer(desk)
    )
    return response


def ship(desk: Desk) -> order_pb2.Order:
    """Send an order out."""
    request = pb.ShipOrderRequest(order_id=buy(desk).order_id)
    response: pb.ShipOrderResponse = fulfil(desk, "ShipOrder", request)
    return response.order


def deliver(desk: Desk, order: order_pb2.Order) -> pb.MarkDeliveredResponse:
    """Tell that an order has arrived."""
    request = pb.MarkDeliveredRequest(order_id=order.order_id)
    response: pb.MarkDeliveredResponse = fulfil(desk, "MarkDelivered", request)
    return response


def fulfil(desk: Desk, rpc: str, request: Any) -> Any:
    """Call as one who ships orders."""
    return desk.call(rpc, request, desk.person(Role.FULFILMENT))


def list_events(desk: Desk) -> pb.ListOrderEventsResponse:
    """Look at the steps of an order."""
    response: pb.ListOrderEventsResponse = desk.call(
        "ListOrderEvents", pb.ListOrderEventsRequest(order_id=buy(desk).order_id), customer(desk)
    )
    return response


def watch(desk: Desk) -> pb.WatchOrderResponse:
    """Look at an order until something is told of it."""
    request = pb.WatchOrderRequest(order_id=buy(desk).order_id)
    response: pb.WatchOrderResponse = first(desk.call("WatchOrder", request, customer(desk)))
    return response


def replay_events(desk: Desk) -> pb.ReplayEventsResponse:
    """Ask for the events of an order until one of them has been published."""
    order = buy(desk)
    request = pb.ReplayEventsRequest(since=order.create_time)
    notification = desk.as_service("notification", OrderServiceStub)
    response: pb.ReplayEventsResponse = eventually(
        lambda: first(notification.call("ReplayEvents", request))
    )
    return response


def look_at_anothers_order(desk: Desk) -> None:
    """Ask for an order as somebody else than who placed it."""
    desk.call("GetOrder", pb.GetOrderRequest(order_id=buy(desk).order_id), desk.person())


def mix_currencies(desk: Desk) -> None:
    """Buy things that are priced in euros and in dollars."""
    buy(desk, product(desk), product(desk, price=Money(currency_code="USD", units=12)))


def buy_too_much(desk: Desk) -> None:
    """Buy the most pieces of two products at the highest price."""
    dear = Money(currency_code="EUR", units=999_999_999)
    buy(desk, product(desk, price=dear), product(desk, price=dear), quantity=1000)


def reuse_a_key(desk: Desk) -> None:
    """Buy two things with one key."""
    key = str(new_id())
    for _ in range(2):
        buy(desk, request_id=key)


def repeat_a_call_at_work(desk: Desk) -> None:
    """Place the same order twice at a time, with a provider that is silent, and give it up again.

    The second to arrive is told that the first one is at work; which that is does not matter.
    """
    request, owner = purchase(product(desk), payment_token="tok_hang"), desk.person()
    ended: SimpleQueue[Any] = SimpleQueue()
    calls = [desk.stub.CreateOrder.future(request, metadata=owner) for _ in range(2)]
    for call in calls:
        call.add_done_callback(ended.put)
    told = ended.get(timeout=30)
    for call in calls:
        call.cancel()
    for order in desk.call("ListOrders", pb.ListOrdersRequest(), owner).orders:
        desk.call("CancelOrder", pb.CancelOrderRequest(order_id=order.order_id), owner)
    told.result()


ANSWERS: dict[str, Entry] = {
    "CreateOrder": buy,
    "GetOrder": lambda desk: desk.call(
        "GetOrder", pb.GetOrderRequest(order_id=buy(desk).order_id), customer(desk)
    ),
    "ListOrders": lambda desk: desk.call("ListOrders", pb.ListOrdersRequest(), customer(desk)),
    "CancelOrder": cancel,
    "ShipOrder": ship,
    "MarkDelivered": lambda desk: deliver(desk, ship(desk)),
    "ListOrderEvents": list_events,
    "WatchOrder": watch,
    "ReplayEvents": replay_events,
    "ListAuditEvents": lambda desk: desk.call(
        "ListAuditEvents", pb.ListAuditEventsRequest(), desk.person(Role.ADMIN)
    ),
}

ERRORS: dict[str, Entry] = {
    "ORDER_NOT_FOUND": look_at_anothers_order,
    "PRODUCT_UNAVAILABLE": lambda desk: buy(
        desk, test_product.archive(desk.at("product", ProductServiceStub))
    ),
    "OUT_OF_STOCK": lambda desk: buy(desk, quantity=test_product.STOCK + 1),
    "PAYMENT_DECLINED": lambda desk: buy(desk, payment_token="tok_declined"),
    "MIXED_CURRENCIES": mix_currencies,
    "STATE_CONFLICT": lambda desk: deliver(desk, buy(desk)),
    "IDEMPOTENCY_KEY_REUSED": reuse_a_key,
    "IDEMPOTENCY_KEY_IN_USE": repeat_a_call_at_work,
    "TOTAL_TOO_LARGE": buy_too_much,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_rpc_answers(desk: Desk, name: str):
    """The RPC is there and does what it is for."""
    check_is_answered(desk, ANSWERS[name])


@pytest.mark.parametrize("reason", ERRORS)
def test_an_error_is_given_as_the_contract_tells(desk: Desk, process: str, reason: str):
    """The reason comes with its code."""
    check_is_refused(desk, ERRORS[reason], process=process, reason=reason)


def test_nothing_is_left_out(process: str):
    """Every RPC and every reason of the contract is tested."""
    check_is_complete(process, answers=ANSWERS, errors=ERRORS)
