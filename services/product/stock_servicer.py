"""The RPCs of stock reservations, which only services may call."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.mesh.ids import parse_id
from services.product import convert
from services.product.reservation_store import ReservationStore
from souk.product.v1 import stock_service_pb2 as pb
from souk.product.v1 import stock_service_pb2_grpc


class StockServicer(stock_service_pb2_grpc.StockServiceServicer):
    """Serves `souk.product.v1.StockService`."""

    def __init__(self, *, reservations: ReservationStore) -> None:
        self._reservations = reservations

    async def ReserveStock(
        self, request: pb.ReserveStockRequest, context: Any
    ) -> pb.ReserveStockResponse:
        """Take stock for an order until a time."""
        expire_time = await self._reservations.reserve(
            parse_id(request.order_id, field="order_id"),
            convert.quantities_from_proto(request.items),
            convert.span_from_duration(request.time_to_live),
        )
        return pb.ReserveStockResponse(expire_time=convert.timestamp(expire_time))

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Any
    ) -> pb.CommitReservationResponse:
        """Make a reservation final."""
        order_id = parse_id(request.order_id, field="order_id")
        await self._reservations.commit(order_id, _product_ids(request.product_ids))
        return pb.CommitReservationResponse()

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Any
    ) -> pb.ReleaseReservationResponse:
        """Put the stock of an order back."""
        order_id = parse_id(request.order_id, field="order_id")
        await self._reservations.release(order_id, _product_ids(request.product_ids))
        return pb.ReleaseReservationResponse()


def _product_ids(texts: Iterable[str]) -> set[UUID]:
    return {parse_id(text, field=f"product_ids[{index}]") for index, text in enumerate(texts)}
