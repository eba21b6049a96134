"""CreateOrder: what is bought, what is refused, and what a repetition gets."""

import asyncio
import time

import grpc
import grpc.aio

from services.mesh.ids import new_id
from souk.order.v1 import order_pb2, order_service_pb2
from souk.product.v1 import product_pb2
from tests.conftest import Eventually
from tests.integration.order.conftest import CROWDED, DECLINED, Shop, create_order, person, refusal
from tests.integration.order.faults import AFTER, BEFORE

CONFIRMED = [
    "PENDING",
    "STOCK_RESERVED",
    "PAYMENT_AUTHORIZED",
    "STOCK_COMMITTED",
    "PAYMENT_CAPTURED",
    "CONFIRMED",
]


async def test_an_order_is_paid_for(shop: Shop) -> None:
    """CreateOrder answers with a confirmed order whose money is taken and whose stock is gone."""
    product_id = shop.world.warehouse.add(stock=10, cents=1999)
    customer = person()
    order = await shop.place(create_order(product_id, quantity=3), customer)
    assert order.state == order_pb2.ORDER_STATE_CONFIRMED
    assert (order.total.units, order.total.nanos) == (59, 970_000_000)
    assert order.user_id == customer.user_id
    assert await shop.path(order.order_id) == CONFIRMED
    assert shop.world.warehouse.stock(product_id) == (7, 0, 3)
    assert shop.world.till.takings[order.order_id] == 1


async def test_prices_are_of_the_moment(shop: Shop) -> None:
    """An order keeps the prices it was placed at when the products change."""
    product_id = shop.world.warehouse.add(cents=500)
    customer = person()
    placed = await shop.place(create_order(product_id), customer)
    shop.world.warehouse.products[product_id].price.units = 9
    request = order_service_pb2.GetOrderRequest(order_id=placed.order_id)
    kept = await shop.stub.GetOrder(request, metadata=customer.metadata)
    assert kept.order == placed


async def test_the_payment_token_is_forgotten(shop: Shop) -> None:
    """Once the payment is authorized or declined, no row holds the token."""
    product_id = shop.world.warehouse.add()
    await shop.place(create_order(product_id), person())
    await refusal(shop.place(create_order(product_id, token=DECLINED), person()))
    rows = [await shop.row(order_id) for order_id in await shop.orders_about(product_id)]
    assert [row["payment_token"] for row in rows] == [None, None]


async def test_the_address_is_kept(shop: Shop) -> None:
    """An order has the shipping address it was placed with."""
    request = create_order(shop.world.warehouse.add())
    request.shipping_address.region_code = "FR"
    request.shipping_address.address_lines.append("1 rue des Halles")
    order = await shop.place(request, person())
    assert order.shipping_address == request.shipping_address


async def test_a_missing_product_is_refused(shop: Shop) -> None:
    """A product that does not exist is named, and nothing is written down."""
    missing = str(new_id())
    error = await refusal(shop.place(create_order(missing), person()))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "PRODUCT_UNAVAILABLE")
    assert error.metadata["product_id"] == missing
    assert await shop.orders_about(missing) == []


async def test_an_archived_product_is_refused(shop: Shop) -> None:
    """A product that is archived is named, and nothing is written down."""
    product_id = shop.world.warehouse.add()
    shop.world.warehouse.products[product_id].state = product_pb2.PRODUCT_STATE_ARCHIVED
    error = await refusal(shop.place(create_order(product_id), person()))
    assert (error.reason, error.metadata["product_id"]) == ("PRODUCT_UNAVAILABLE", product_id)
    assert await shop.orders_about(product_id) == []


async def test_mixed_currencies_are_refused(shop: Shop) -> None:
    """Products in different currencies can't be in one order."""
    euros, dollars = shop.world.warehouse.add(), shop.world.warehouse.add(currency="USD")
    error = await refusal(shop.place(create_order(euros, dollars), person()))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "MIXED_CURRENCIES")


async def test_one_product_in_two_items_is_refused(shop: Shop) -> None:
    """The same product id in other letters is the same product."""
    product_id = shop.world.warehouse.add()
    error = await refusal(shop.place(create_order(product_id, product_id.upper()), person()))
    assert error.code == "INVALID_ARGUMENT"
    assert [each.field for each in error.violations] == ["items[1].product_id"]


async def test_out_of_stock_is_rejected(shop: Shop) -> None:
    """Too few pieces: the call fails and names order and product; the order is kept as rejected."""
    product_id = shop.world.warehouse.add(stock=1)
    error = await refusal(shop.place(create_order(product_id, quantity=2), person()))
    order_id = error.metadata["order_id"]
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "OUT_OF_STOCK")
    assert error.metadata["product_id"] == product_id
    assert await shop.path(order_id) == ["PENDING", "CANCELLING", "REJECTED"]
    assert shop.world.warehouse.stock(product_id) == (1, 0, 0)
    assert shop.world.till.state(order_id) == ""


async def test_a_declined_payment_is_rejected(shop: Shop) -> None:
    """Declined: the call fails and names the order, which is kept as rejected; stock is back."""
    product_id = shop.world.warehouse.add(stock=5)
    error = await refusal(shop.place(create_order(product_id, token=DECLINED), person()))
    order_id = error.metadata["order_id"]
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "PAYMENT_DECLINED")
    assert await shop.path(order_id) == ["PENDING", "STOCK_RESERVED", "CANCELLING", "REJECTED"]
    assert shop.world.warehouse.stock(product_id) == (5, 0, 0)


async def test_a_repetition_gets_the_same_bytes(shop: Shop) -> None:
    """A repeated call gets the first answer, even when the product can't be bought any more."""
    product_id = shop.world.warehouse.add()
    request, customer = create_order(product_id), person()
    first = await shop.place(request, customer)
    shop.world.warehouse.products[product_id].state = product_pb2.PRODUCT_STATE_ARCHIVED
    second = await shop.place(request, customer)
    assert second.SerializeToString() == first.SerializeToString()
    assert shop.world.till.takings[first.order_id] == 1


async def test_a_repetition_gets_the_same_rejection(shop: Shop) -> None:
    """A repeated call that was rejected gets the same error, even when there is stock by now."""
    product_id = shop.world.warehouse.add(stock=0)
    request, customer = create_order(product_id), person()
    first = await refusal(shop.place(request, customer))
    shop.world.warehouse.products[product_id].stock = 10
    second = await refusal(shop.place(request, customer))
    assert (second.reason, second.message, second.metadata) == (
        first.reason,
        first.message,
        first.metadata,
    )


async def test_a_key_is_for_one_request(shop: Shop) -> None:
    """The same key with another request is refused."""
    product_id, customer = shop.world.warehouse.add(), person()
    request = create_order(product_id)
    await shop.place(request, customer)
    request.items[0].quantity = 2
    error = await refusal(shop.place(request, customer))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED")


async def test_a_key_is_its_users_own(shop: Shop) -> None:
    """Two users with the same key get an order each."""
    request = create_order(shop.world.warehouse.add())
    orders = [await shop.place(request, person()) for _ in range(2)]
    assert len({order.order_id for order in orders}) == 2


async def test_fifty_identical_calls_make_one_order(shop: Shop) -> None:
    """Fifty calls with one key at once: one order, one payment, one answer."""
    product_id = shop.world.warehouse.add(stock=100)
    request, customer = create_order(product_id), person()
    calls = [shop.place(request, customer, despite=CROWDED) for _ in range(50)]
    orders = await asyncio.gather(*calls)
    assert len({order.SerializeToString() for order in orders}) == 1
    assert await shop.orders_about(product_id) == [orders[0].order_id]
    assert shop.world.till.takings[orders[0].order_id] == 1
    assert shop.world.warehouse.stock(product_id) == (99, 0, 1)


async def test_the_last_piece_is_sold_once(shop: Shop) -> None:
    """Thirty buyers of the last piece: one gets it, the others are told that it is gone."""
    product_id = shop.world.warehouse.add(stock=1)
    calls = [shop.place(create_order(product_id), person(), despite=CROWDED) for _ in range(30)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    errors = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert [error.code() for error in errors] == [grpc.StatusCode.FAILED_PRECONDITION] * 29
    assert shop.world.warehouse.stock(product_id) == (0, 0, 1)
    takings = [shop.world.till.takings[each] for each in await shop.orders_about(product_id)]
    assert sorted(takings) == [0] * 29 + [1]


async def test_an_unfinished_order_is_answered_as_it_is(shop: Shop, eventually: Eventually) -> None:
    """At its deadline the call answers with the state so far, which is also what a replay gets."""
    product_id = shop.world.warehouse.add()
    fault = shop.world.faults.hang("Authorize", product_id, when=BEFORE)
    request, customer = create_order(product_id), person()
    first = await shop.place(request, customer, seconds=4)
    fault.ended.set()
    assert first.state == order_pb2.ORDER_STATE_STOCK_RESERVED
    await eventually(lambda: shop.is_in(first.order_id, "CONFIRMED"))
    second = await shop.place(request, customer)
    assert second.SerializeToString() == first.SerializeToString()


async def test_a_cancelled_call_leaves_an_order_that_is_finished(
    shop: Shop, eventually: Eventually
) -> None:
    """A client that goes away in the middle finds one finished order under its key."""
    product_id, customer = shop.world.warehouse.add(), person()
    fault = shop.world.faults.hang("Capture", product_id, when=AFTER)
    request = create_order(product_id)
    call = asyncio.create_task(shop.place(request, customer))
    await fault.reached.wait()
    call.cancel()
    shop.world.faults.clear()
    order_id = await shop.order_about(product_id)
    await eventually(lambda: shop.is_in(order_id, "CONFIRMED"))
    repeated = await shop.place(request, customer)
    assert (repeated.order_id, repeated.state) == (order_id, order_pb2.ORDER_STATE_CONFIRMED)
    assert shop.world.till.takings[order_id] == 1


async def test_calls_cancelled_at_any_moment_leave_nothing_behind(
    shop: Shop, eventually: Eventually
) -> None:
    """Clients that go away sooner or later in their call leave whole orders or none."""
    product_id = shop.world.warehouse.add(stock=100)
    begin = time.monotonic()
    await shop.place(create_order(product_id), person())
    whole_seconds = time.monotonic() - begin
    for part in range(40):
        await _placed_or_given_up(shop, product_id, whole_seconds * part / 40)

    async def settled() -> list[str]:
        orders = await shop.orders_about(product_id)
        states = {await shop.state(order_id) for order_id in orders}
        count = len(orders)
        # Held against the stock too: the last call's order may be written after it has gone.
        stock = shop.world.warehouse.stock(product_id)
        return orders if states == {"CONFIRMED"} and stock == (100 - count, 0, count) else []

    # Less than a lease lasts: nothing waits for one to run out. And what is looked at after is what
    # was settled then, since the last call's order may be written later still.
    orders = await eventually(settled)
    assert [shop.world.till.takings[order_id] for order_id in orders] == [1] * len(orders)


async def _placed_or_given_up(shop: Shop, product_id: str, seconds: float) -> None:
    """Places an order and goes away after some time."""
    call = asyncio.create_task(shop.place(create_order(product_id), person()))
    await asyncio.wait([call], timeout=seconds)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
