"""What the notification service asks of others."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from uuid import UUID

import grpc.aio

from services.mesh.clients import answers
from services.mesh.status import error_from_call
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1 import order_service_pb2, order_service_pb2_grpc
from souk.user.v1 import user_service_pb2, user_service_pb2_grpc

_CONFIRM_SECONDS = 5


class Users:
    """The user service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._users = user_service_pb2_grpc.UserServiceStub(channel)

    async def email_address(self, user_id: UUID) -> str:
        """Returns the address of a user's account. Raises RemoteError."""
        request = user_service_pb2.GetUserRequest(user_id=str(user_id))
        try:
            response = await self._users.GetUser(request)
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error) from error
        return response.user.email


class Orders:
    """The order service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._orders = order_service_pb2_grpc.OrderServiceStub(channel)

    async def confirmed(self, event_ids: Collection[UUID]) -> dict[UUID, Event]:
        """Returns those of the events, up to 100, that the order service has committed, by id.

        Raises RemoteError.
        """
        request = order_service_pb2.ReplayEventsRequest(event_ids=map(str, event_ids))
        call = self._orders.ReplayEvents(request, timeout=_CONFIRM_SECONDS)
        return {UUID(each.event.event_id): each.event async for each in answers(call)}

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yields all events that are kept, the oldest first. Raises RemoteError."""
        call = self._orders.ReplayEvents(order_service_pb2.ReplayEventsRequest())
        async with aclosing(answers(call)) as responses:
            async for response in responses:
                yield response.event
