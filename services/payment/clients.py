"""What the payment service asks of the order service: whether an order still wants its money."""

from uuid import UUID

import grpc.aio

from services.mesh.errors import Unavailable
from services.mesh.money import amount_from_money
from services.mesh.status import error_from_call
from services.payment.domain import OrderFacts
from souk.order.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc

_DEAD = frozenset(
    {
        order_pb2.ORDER_STATE_CANCELLED,
        order_pb2.ORDER_STATE_REJECTED,
        order_pb2.ORDER_STATE_EXPIRED,
        order_pb2.ORDER_STATE_REFUNDED,
    }
)


class Orders:
    """The order service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._orders = order_service_pb2_grpc.OrderServiceStub(channel)

    async def facts(self, order_id: UUID) -> OrderFacts | None:
        """Returns what is known of an order, None if there is none. Raises Unavailable."""
        request = order_service_pb2.GetOrderRequest(order_id=str(order_id))
        try:
            order = (await self._orders.GetOrder(request)).order
        except grpc.aio.AioRpcError as error:
            remote = error_from_call(error)
            if remote.reason == "ORDER_NOT_FOUND":
                return None
            raise Unavailable("the order service can't be asked now") from remote
        return OrderFacts(
            is_dead=order.state in _DEAD, total=amount_from_money(order.total, field="total")
        )
