"""Reading orders and taking them along: paging, ownership, shipping."""

import pytest

from souk.order.v1 import order_pb2
from souk.order.v1.order_service_pb2 import (
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
    MarkDeliveredRequest,
    ShipOrderRequest,
)
from tests.integration.order.conftest import DECLINED, Person, Shop, create_order, person, refusal


async def placed(shop: Shop, count: int, customer: Person) -> list[str]:
    """Places some orders and returns their ids, the newest first."""
    product_id = shop.world.warehouse.add(stock=1000)
    orders = [await shop.place(create_order(product_id), customer) for _ in range(count)]
    return [order.order_id for order in reversed(orders)]


async def test_orders_are_listed_page_by_page(shop: Shop) -> None:
    """Every order of the caller comes once, the newest first, and nobody else's."""
    customer = person()
    order_ids = await placed(shop, 5, customer)
    await placed(shop, 1, person())
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        response = await shop.stub.ListOrders(
            ListOrdersRequest(page_size=2, page_token=token), metadata=customer.metadata
        )
        pages.append([order.order_id for order in response.orders])
        token = response.next_page_token
    assert pages == [order_ids[:2], order_ids[2:4], order_ids[4:]]


async def test_orders_are_listed_by_state(shop: Shop) -> None:
    """Only orders in the states asked for are listed."""
    customer = person()
    await placed(shop, 1, customer)
    declined = create_order(shop.world.warehouse.add(), token=DECLINED)
    rejected = (await refusal(shop.place(declined, customer))).metadata["order_id"]
    response = await shop.stub.ListOrders(
        ListOrdersRequest(states=[order_pb2.ORDER_STATE_REJECTED]), metadata=customer.metadata
    )
    assert [order.order_id for order in response.orders] == [rejected]


async def test_a_page_token_is_for_its_list(shop: Shop) -> None:
    """A token is refused with other filters, and when it is damaged."""
    customer = person()
    await placed(shop, 2, customer)
    first = await shop.stub.ListOrders(ListOrdersRequest(page_size=1), metadata=customer.metadata)
    for request in (
        ListOrdersRequest(
            page_token=first.next_page_token, states=[order_pb2.ORDER_STATE_CONFIRMED]
        ),
        ListOrdersRequest(page_token=first.next_page_token[::-1]),
    ):
        error = await refusal(shop.stub.ListOrders(request, metadata=customer.metadata))
        assert [each.field for each in error.violations] == ["page_token"]


async def test_the_staff_lists_anybody_s(shop: Shop) -> None:
    """The staff sees everybody's orders, or those of one user."""
    first, second = person(), person()
    (order_of_first,) = await placed(shop, 1, first)
    (order_of_second,) = await placed(shop, 1, second)
    staff = person("support")
    every = await shop.stub.ListOrders(ListOrdersRequest(), metadata=staff.metadata)
    ones = await shop.stub.ListOrders(
        ListOrdersRequest(user_id=first.user_id), metadata=staff.metadata
    )
    assert [order.order_id for order in every.orders[:2]] == [order_of_second, order_of_first]
    assert [order.order_id for order in ones.orders] == [order_of_first]


async def test_nobody_lists_another_s(shop: Shop) -> None:
    """Asking for the orders of another user is answered as if there were none."""
    customer = person()
    await placed(shop, 1, customer)
    request = ListOrdersRequest(user_id=customer.user_id)
    error = await refusal(shop.stub.ListOrders(request, metadata=person().metadata))
    assert error.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("roles", "code"),
    [((), "NOT_FOUND"), (("merchandiser",), "NOT_FOUND"), (("fulfilment",), "OK")],
)
async def test_an_order_is_its_owner_s(shop: Shop, roles: tuple[str, ...], code: str) -> None:
    """Another's order does not exist, unless a role excepts the caller."""
    (order_id,) = await placed(shop, 1, person())
    call = shop.stub.GetOrder(GetOrderRequest(order_id=order_id), metadata=person(*roles).metadata)
    actual = "OK" if code == "OK" and (await call).order.order_id == order_id else ""
    assert (actual or (await refusal(call)).code) == code


async def test_a_service_reads_any_order(shop: Shop) -> None:
    """Notification reads orders on its own behalf; a service that is not listed may not."""
    (order_id,) = await placed(shop, 1, person())
    request = GetOrderRequest(order_id=order_id)
    response = await shop.stub.GetOrder(request, metadata=(("x-souk-service", "notification"),))
    error = await refusal(shop.stub.GetOrder(request, metadata=(("x-souk-service", "product"),)))
    assert (response.order.order_id, error.code) == (order_id, "PERMISSION_DENIED")


async def test_the_steps_are_listed_page_by_page(shop: Shop) -> None:
    """Every step comes once, the first one first, with who took it."""
    customer = person()
    (order_id,) = await placed(shop, 1, customer)
    steps: list[order_pb2.OrderEvent] = []
    token = ""
    while not steps or token:
        response = await shop.stub.ListOrderEvents(
            ListOrderEventsRequest(order_id=order_id, page_size=4, page_token=token),
            metadata=customer.metadata,
        )
        steps += response.events
        token = response.next_page_token
    assert [step.sequence for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.from_state for step in steps] == [0, *(step.to_state for step in steps[:-1])]
    assert steps[-1].to_state == order_pb2.ORDER_STATE_CONFIRMED
    assert [step.actor for step in steps] == ["customer", *["saga"] * 5]


async def test_an_order_is_shipped_and_delivered(shop: Shop) -> None:
    """A confirmed order is shipped, then delivered; repeating either changes nothing."""
    staff = person("fulfilment")
    (order_id,) = await placed(shop, 1, person())
    ship, deliver = ShipOrderRequest(order_id=order_id), MarkDeliveredRequest(order_id=order_id)
    shipped = [await shop.stub.ShipOrder(ship, metadata=staff.metadata) for _ in range(2)]
    delivered = [await shop.stub.MarkDelivered(deliver, metadata=staff.metadata) for _ in range(2)]
    late = await shop.stub.ShipOrder(ship, metadata=staff.metadata)
    assert shipped[0] == shipped[1]
    assert delivered[0] == delivered[1]
    assert late.order == delivered[0].order
    assert (await shop.path(order_id))[-3:] == ["CONFIRMED", "SHIPPED", "DELIVERED"]


async def test_an_order_is_not_delivered_before_it_is_shipped(shop: Shop) -> None:
    """Marking a confirmed order as delivered is refused with its state."""
    (order_id,) = await placed(shop, 1, person())
    request = MarkDeliveredRequest(order_id=order_id)
    error = await refusal(shop.stub.MarkDelivered(request, metadata=person("fulfilment").metadata))
    assert (error.reason, error.metadata["state"]) == ("STATE_CONFLICT", "ORDER_STATE_CONFIRMED")


async def test_customers_do_not_ship(shop: Shop) -> None:
    """Shipping takes a role."""
    customer = person()
    (order_id,) = await placed(shop, 1, customer)
    request = ShipOrderRequest(order_id=order_id)
    error = await refusal(shop.stub.ShipOrder(request, metadata=customer.metadata))
    assert error.code == "PERMISSION_DENIED"
