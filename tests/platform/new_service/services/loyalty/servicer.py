"""The RPCs of the loyalty service. Who may call them stands in the contract."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from services.loyalty.store import PointStore
from services.mesh import identity
from services.mesh.ids import parse_id
from souk.loyalty.v1 import loyalty_service_pb2 as pb
from souk.loyalty.v1 import loyalty_service_pb2_grpc

_POLL_SECONDS = 1.0


class LoyaltyServicer(loyalty_service_pb2_grpc.LoyaltyServiceServicer):
    """Serves `souk.loyalty.v1.LoyaltyService`."""

    def __init__(self, points: PointStore) -> None:
        self._points = points

    async def GetBalance(
        self, request: pb.GetBalanceRequest, context: Any
    ) -> pb.GetBalanceResponse:
        """Return the caller's points."""
        return pb.GetBalanceResponse(points=await self._points.get(_user_id()))

    async def GrantPoints(
        self, request: pb.GrantPointsRequest, context: Any
    ) -> pb.GrantPointsResponse:
        """Give points to a customer."""
        user_id = parse_id(request.user_id, field="user_id")
        return pb.GrantPointsResponse(points=await self._points.grant(user_id, request.points))

    async def WatchBalance(
        self, request: pb.WatchBalanceRequest, context: Any
    ) -> AsyncIterator[pb.WatchBalanceResponse]:
        """Tell the caller's points whenever they have changed."""
        told = None
        while True:
            points = await self._points.get(_user_id())
            if points != told:
                yield pb.WatchBalanceResponse(points=points)
                told = points
            await asyncio.sleep(_POLL_SECONDS)


def _user_id() -> UUID:
    return parse_id(identity.caller().subject or "", field="sub")
