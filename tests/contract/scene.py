"""A shop in use, and a look at all of it: what bad input must leave as it is."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.type.money_pb2 import Money

from services.user.domain import Role
from souk.order.v1 import order_pb2, order_service_pb2
from souk.order.v1.order_service_pb2_grpc import OrderServiceStub
from souk.payment.v1 import payment_service_pb2
from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from souk.product.v1 import product_pb2, product_service_pb2
from souk.product.v1.product_service_pb2_grpc import ProductServiceStub
from souk.user.v1 import user_service_pb2
from souk.user.v1.user_service_pb2_grpc import UserServiceStub
from tests.contract import test_order, test_product, test_user
from tests.contract.tables import Desk

Metadata = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A product, and a customer with an address who has bought one piece of it.

    `staff` may do everything that a role allows, `stranger` nothing but buy. `dollars` is a product
    that is not sold for euros. `key` is the key that the order was placed with.
    """

    users: Desk
    products: Desk
    orders: Desk
    payments: Desk
    user_id: str
    owner: Metadata
    staff: Metadata
    stranger: Metadata
    product: product_pb2.Product
    dollars: product_pb2.Product
    order: order_pb2.Order
    key: str

    def look(self) -> list[Message]:
        """Return all that there is to see; every call is a good one, so it must succeed."""
        order_id = self.order.order_id
        products = self.products.call("ListProducts", product_service_pb2.ListProductsRequest())
        return [
            self.products.call(
                "BatchGetProducts",
                product_service_pb2.BatchGetProductsRequest(
                    product_ids=[each.product_id for each in products.products]
                ),
            ),
            *(
                self.orders.call(rpc, request, self.owner)
                for rpc, request in {
                    "ListOrders": order_service_pb2.ListOrdersRequest(),
                    "ListOrderEvents": order_service_pb2.ListOrderEventsRequest(order_id=order_id),
                }.items()
            ),
            self.payments.call(
                "ListPayments",
                payment_service_pb2.ListPaymentsRequest(order_id=order_id),
                self.owner,
            ),
            self.users.call("GetUser", user_service_pb2.GetUserRequest(), self.owner),
            self.users.call("ListAddresses", user_service_pb2.ListAddressesRequest(), self.owner),
        ]

    def buy(self, *products: product_pb2.Product, by: Metadata, **fields: Any) -> Any:
        """Place an order."""
        return self.orders.call("CreateOrder", test_order.purchase(*products, **fields), by)


def begin(desk: Desk) -> Scene:
    """Set the scene, wherever the desk is."""
    users = desk.at("user", UserServiceStub)
    products = desk.at("product", ProductServiceStub)
    orders = desk.at("order", OrderServiceStub)
    user_id = test_user.register(users).user_id
    owner = desk.person(user_id=UUID(user_id))
    test_user.add_address(users, owner)
    product = test_product.create(products)
    request = test_order.purchase(product)
    return Scene(
        users=users,
        products=products,
        orders=orders,
        payments=desk.at("payment", PaymentServiceStub),
        user_id=user_id,
        owner=owner,
        staff=desk.person(*Role),
        stranger=desk.person(),
        product=product,
        dollars=test_product.create(products, price=Money(currency_code="USD", units=1)),
        order=orders.call("CreateOrder", request, owner).order,
        key=request.request_id,
    )
