"""The services behind the pages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.mesh.run import Mesh
from souk.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from souk.order.v1.order_service_pb2_grpc import OrderServiceStub
from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from souk.product.v1.product_service_pb2_grpc import ProductServiceStub
from souk.user.v1.user_service_pb2_grpc import UserServiceStub

if TYPE_CHECKING:
    from souk.notification.v1.notification_service_pb2_grpc import NotificationServiceAsyncStub
    from souk.order.v1.order_service_pb2_grpc import OrderServiceAsyncStub
    from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub
    from souk.product.v1.product_service_pb2_grpc import ProductServiceAsyncStub
    from souk.user.v1.user_service_pb2_grpc import UserServiceAsyncStub


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """One stub per service."""

    user: "UserServiceAsyncStub"
    product: "ProductServiceAsyncStub"
    order: "OrderServiceAsyncStub"
    payment: "PaymentServiceAsyncStub"
    notification: "NotificationServiceAsyncStub"

    @classmethod
    def over(cls, mesh: Mesh) -> Self:
        """Return the stubs over the channels of `mesh`."""
        return cls(
            user=UserServiceStub(mesh.channel("user")),
            product=ProductServiceStub(mesh.channel("product")),
            order=OrderServiceStub(mesh.channel("order")),
            payment=PaymentServiceStub(mesh.channel("payment")),
            notification=NotificationServiceStub(mesh.channel("notification")),
        )
