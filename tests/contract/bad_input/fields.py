"""Input that keeps every rule of its fields and is wrong all the same, with what is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.money_pb2 import Money

from services.mesh.ids import new_id
from souk.order.v1 import order_service_pb2 as orders
from souk.payment.v1 import payment_service_pb2 as payments
from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from souk.product.v1 import product_pb2
from souk.product.v1 import product_service_pb2 as products
from souk.user.v1 import user_pb2
from souk.user.v1 import user_service_pb2 as users
from tests.contract import test_payment, test_product
from tests.contract.scene import Metadata, Scene
from tests.contract.tables import first

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FORBIDDEN = grpc.StatusCode.FAILED_PRECONDITION
CONFLICT = grpc.StatusCode.ABORTED
MISSING = grpc.StatusCode.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Bad:
    """A call that is refused with `code`; `names` is the field at fault, or the reason."""

    code: grpc.StatusCode
    names: str
    call: Callable[[Scene], Any]


def money(currency: str, units: int, nanos: int = 0) -> Money:
    """Return a sum of money."""
    return Money(currency_code=currency, units=units, nanos=nanos)


def create(**fields: Any) -> Callable[[Scene], Any]:
    """Add a product."""
    request = products.CreateProductRequest(product=test_product.coffee(**fields))
    return lambda scene: scene.products.call("CreateProduct", request, scene.staff)


def update(*paths: str, **fields: Any) -> Callable[[Scene], Any]:
    """Change the product."""

    def call(scene: Scene) -> Any:
        product = product_pb2.Product(product_id=scene.product.product_id, **fields)
        mask = FieldMask(paths=paths)
        request = products.UpdateProductRequest(product=product, update_mask=mask)
        return scene.products.call("UpdateProduct", request, scene.staff)

    return call


def list_products(**fields: Any) -> Callable[[Scene], Any]:
    """Look at the catalogue."""
    request = products.ListProductsRequest(**fields)
    return lambda scene: scene.products.call("ListProducts", request)


def authorize(**fields: Any) -> Callable[[Scene], Any]:
    """Set money aside, as the order service does."""
    request = test_payment.authorization(**fields)
    return lambda scene: scene.payments.as_service("order", PaymentServiceStub).call(
        "Authorize", request
    )


def refund(amount: Money) -> Callable[[Scene], Any]:
    """Give money of the order back."""

    def call(scene: Scene) -> Any:
        request = payments.RefundRequest(
            request_id=str(new_id()), payment_id=scene.order.payment_id, amount=amount
        )
        return scene.payments.call("Refund", request, scene.staff)

    return call


def stranger_asks(rpc: str, request: type[Any]) -> Callable[[Scene], Any]:
    """Ask for the order of another."""
    return lambda scene: scene.orders.call(
        rpc, request(order_id=scene.order.order_id), scene.stranger
    )


def buy_the_same_twice(scene: Scene) -> Any:
    """Buy a product in two items, whose ids differ in case."""
    product_id = scene.product.product_id
    again = product_pb2.Product(product_id=product_id.upper())
    return scene.buy(scene.product, again, by=scene.owner)


def update_user(scene: Scene, who: Metadata, **fields: str) -> Any:
    """Change the name of the customer."""
    user = user_pb2.User(display_name="Mallory", **fields)  # type: ignore[arg-type]  # texts
    return scene.users.call("UpdateUser", users.UpdateUserRequest(user=user), who)


def delete_anothers_address(scene: Scene) -> Any:
    """Delete the address of the customer as somebody else."""
    listed = scene.users.call("ListAddresses", users.ListAddressesRequest(), scene.owner)
    request = users.DeleteAddressRequest(address_id=listed.addresses[0].address_id)
    return scene.users.call("DeleteAddress", request, scene.stranger)


def second_page(**fields: Any) -> Callable[[Scene], Any]:
    """Go on with a list of products as if it had been asked for by `fields`."""

    def call(scene: Scene) -> Any:
        request = products.ListProductsRequest(page_size=1)
        token = scene.products.call("ListProducts", request).next_page_token
        return list_products(page_token=token, **fields)(scene)

    return call


def page_of_another_rpc(scene: Scene) -> Any:
    """Go on with the steps of an order in the list of orders."""
    steps = orders.ListOrderEventsRequest(order_id=scene.order.order_id, page_size=1)
    token = scene.orders.call("ListOrderEvents", steps, scene.owner).next_page_token
    return scene.orders.call("ListOrders", orders.ListOrdersRequest(page_token=token), scene.owner)


MONEY = {
    "a price finer than a cent": Bad(
        INVALID, "product.price.nanos", create(price=money("EUR", 1, 1))
    ),
    "a price of half a yen": Bad(
        INVALID, "product.price.nanos", create(price=money("JPY", 1, 500_000_000))
    ),
    "a price in no currency": Bad(
        INVALID, "product.price.currency_code", create(price=money("XXQ", 1))
    ),
    "a new price finer than a cent": Bad(
        INVALID, "product.price.nanos", update(price=money("EUR", 1, 1))
    ),
    "a payment finer than a fils": Bad(
        INVALID, "amount.nanos", authorize(amount=money("KWD", 1, 100_000))
    ),
    "a payment that no ledger can hold": Bad(
        INVALID, "amount", authorize(amount=money("EUR", 2**63 - 1))
    ),
    "a refund in another currency": Bad(INVALID, "amount.currency_code", refund(money("USD", 1))),
    "a refund finer than a cent": Bad(INVALID, "amount.nanos", refund(money("EUR", 1, 1))),
    "a refund of more than was taken": Bad(
        FORBIDDEN, "REFUND_TOO_LARGE", refund(money("EUR", 12, 510_000_000))
    ),
}

ORDERS = {
    "a product twice, in another case": Bad(INVALID, "items[1].product_id", buy_the_same_twice),
    "products in two currencies": Bad(
        FORBIDDEN,
        "MIXED_CURRENCIES",
        lambda scene: scene.buy(scene.product, scene.dollars, by=scene.owner),
    ),
    "a product that does not exist": Bad(
        FORBIDDEN,
        "PRODUCT_UNAVAILABLE",
        lambda scene: scene.buy(product_pb2.Product(product_id=str(new_id())), by=scene.owner),
    ),
    "another order under the same key": Bad(
        FORBIDDEN,
        "IDEMPOTENCY_KEY_REUSED",
        lambda scene: scene.buy(scene.product, quantity=2, request_id=scene.key, by=scene.owner),
    ),
    # Of this one the stranger keeps a rejected order, but the stock and the rest are as they were.
    "more than there is": Bad(
        FORBIDDEN,
        "OUT_OF_STOCK",
        lambda scene: scene.buy(scene.product, quantity=1000, by=scene.stranger),
    ),
    "more taken from the stock than there is": Bad(
        FORBIDDEN,
        "STOCK_OUT_OF_RANGE",
        lambda scene: scene.products.call(
            "AdjustStock",
            products.AdjustStockRequest(product_id=scene.product.product_id, delta=-1000),
            scene.staff,
        ),
    ),
    "the arrival of what was not sent": Bad(
        FORBIDDEN,
        "STATE_CONFLICT",
        lambda scene: scene.orders.call(
            "MarkDelivered",
            orders.MarkDeliveredRequest(order_id=scene.order.order_id),
            scene.staff,
        ),
    ),
}

LISTS = {
    "a page of no list": Bad(INVALID, "page_token", list_products(page_token="next")),
    "a page of another filter": Bad(INVALID, "page_token", second_page(filter="stock>0")),
    "a page of another order": Bad(INVALID, "page_token", second_page(order_by="title")),
    "a page of another RPC": Bad(INVALID, "page_token", page_of_another_rpc),
    **{
        f"the filter {text!r}": Bad(INVALID, "filter", list_products(filter=text))
        for text in (
            "tags",
            "tags:",
            'tags:"open',
            "tags=coffee",
            "colour:red",
            "stock>many",
            "stock!=1",
            "stock=1.5",
            f"stock<{2**63}",
            "stock>1 OR stock<1",
            "stock>1 stock<1",
            "stock>1 AND",
            "AND stock>1",
            "NOT stock>1",
            "(stock>1)",
            "price.units = = 1",
        )
    },
    **{
        f"the order {text!r}": Bad(INVALID, "order_by", list_products(order_by=text))
        for text in ("colour", "title asc", "title, price", "title desc desc", "desc", "-price")
    },
}

UPDATES = {
    **{
        f"an update of {path!r}": Bad(INVALID, "update_mask", update(path, title="New"))
        for path in ("colour", "sku", "stock", "price.units", "product.title", "Title", "")
    },
    "an update of everything and more": Bad(INVALID, "update_mask", update("*", "title")),
    "an update to no title": Bad(INVALID, "product.title", update("title")),
    "an update to no price": Bad(INVALID, "product.price", update("*", title="New")),
    "an update of what cannot be changed": Bad(
        INVALID, "product.sku", update(sku="another", title="New")
    ),
    "an update of what has changed": Bad(
        CONFLICT, "ETAG_MISMATCH", update(title="New", etag='"stale"')
    ),
    "an update of a user that has changed": Bad(
        CONFLICT, "ETAG_MISMATCH", lambda scene: update_user(scene, scene.owner, etag='"stale"')
    ),
    "the end of a product that has changed": Bad(
        CONFLICT,
        "ETAG_MISMATCH",
        lambda scene: scene.products.call(
            "ArchiveProduct",
            products.ArchiveProductRequest(product_id=scene.product.product_id, etag='"stale"'),
            scene.staff,
        ),
    ),
}

STRANGERS = {
    "another's order": Bad(
        MISSING, "ORDER_NOT_FOUND", stranger_asks("GetOrder", orders.GetOrderRequest)
    ),
    "the steps of another's order": Bad(
        MISSING, "ORDER_NOT_FOUND", stranger_asks("ListOrderEvents", orders.ListOrderEventsRequest)
    ),
    "the end of another's order": Bad(
        MISSING, "ORDER_NOT_FOUND", stranger_asks("CancelOrder", orders.CancelOrderRequest)
    ),
    "the news of another's order": Bad(
        MISSING,
        "ORDER_NOT_FOUND",
        lambda scene: first(stranger_asks("WatchOrder", orders.WatchOrderRequest)(scene)),
    ),
    "another's orders": Bad(
        MISSING,
        "NOT_FOUND",
        lambda scene: scene.orders.call(
            "ListOrders", orders.ListOrdersRequest(user_id=scene.user_id), scene.stranger
        ),
    ),
    "another's payment": Bad(
        MISSING,
        "PAYMENT_NOT_FOUND",
        lambda scene: scene.payments.call(
            "GetPayment",
            payments.GetPaymentRequest(payment_id=scene.order.payment_id),
            scene.stranger,
        ),
    ),
    "another's account": Bad(
        MISSING,
        "NOT_FOUND",
        lambda scene: scene.users.call(
            "GetUser", users.GetUserRequest(user_id=scene.user_id), scene.stranger
        ),
    ),
    "another's name": Bad(
        MISSING,
        "NOT_FOUND",
        lambda scene: update_user(scene, scene.stranger, user_id=scene.user_id),
    ),
    "another's address": Bad(MISSING, "ADDRESS_NOT_FOUND", delete_anothers_address),
}

BAD = {**MONEY, **ORDERS, **LISTS, **UPDATES, **STRANGERS}
