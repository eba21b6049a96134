"""What the notification service asks of others."""

from collections.abc import AsyncGenerator
from datetime import datetime
from uuid import UUID

import grpc.aio

from services.mesh.clients import remote_error
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1 import order_service_pb2, order_service_pb2_grpc
from souk.user.v1 import user_service_pb2, user_service_pb2_grpc


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
            raise remote_error(error) from error
        return response.user.email


class Orders:
    """The order service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._orders = order_service_pb2_grpc.OrderServiceStub(channel)

    async def events(self, *, since: datetime | None = None) -> AsyncGenerator[Event, None]:
        """Yields the events from `since` on, or all that are kept, the oldest first.

        Raises RemoteError.
        """
        request = order_service_pb2.ReplayEventsRequest()
        if since is not None:
            request.since.FromDatetime(since)
        call = self._orders.ReplayEvents(request)
        try:
            async for response in call:
                yield response.event
        except grpc.aio.AioRpcError as error:
            raise remote_error(error) from error
        finally:
            call.cancel()
