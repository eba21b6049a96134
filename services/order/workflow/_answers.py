"""What CreateOrder answers, and its keeping under the call's key.

An order that is settled is answered in the transaction of its last step, by whoever takes that
step: the call itself, or after a crash a worker. One that is not settled when its call must be
answered is answered by the call, as it is then.
"""

from uuid import UUID

from services.mesh.database import Connection
from services.mesh.errors import DomainError
from services.mesh.idempotency import IdempotencyKeys, Scope
from services.order import convert
from services.order.domain import Order
from souk.order.v1 import order_service_pb2
from souk.order.v1.order_service_pb2 import CreateOrderResponse

_SERVICE = order_service_pb2.DESCRIPTOR.services_by_name["OrderService"]
_METHOD = f"/{_SERVICE.full_name}/{_SERVICE.methods_by_name['CreateOrder'].name}"


def scope(user_id: UUID, request_id: str) -> Scope:
    """Returns whose key a call's `request_id` is."""
    return Scope(subject=str(user_id), method=_METHOD, key=request_id)


def answer(order: Order) -> CreateOrderResponse | DomainError:
    """Returns what is to be told to whoever placed the order."""
    return order.rejection or CreateOrderResponse(order=convert.order_to_proto(order))


class Answers:
    """Answers the calls that placed the orders which are settled."""

    def __init__(self, keys: IdempotencyKeys) -> None:
        self._keys = keys

    async def store(self, conn: Connection, order: Order) -> None:
        """Stores the answer in the transaction of the order's last step, if there is none yet."""
        if order.request_id is None:
            return
        await self._keys.answer(
            conn,
            scope(order.user_id, order.request_id),
            resource=str(order.order_id),
            answer=answer(order),
        )
