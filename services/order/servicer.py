"""The RPCs of the order service. Who may call them stands in the contract."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

from services.mesh import identity, ids, ownership, page_token, paging, policy
from services.mesh.audit import AuditLog
from services.order import convert
from services.order.domain import Actor, Order
from services.order.store import Cursor, EventStore, OrderChanges, OrderStore
from services.order.workflow import Checkout
from souk.order.v1 import order_service_pb2 as pb
from souk.order.v1 import order_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["OrderService"]

_METHODS = {method.name: method for method in policy.methods([SERVICE])}

_sequence_from_text = partial(page_token.whole_number, bits=32)


class OrderServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves `souk.order.v1.OrderService`."""

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        checkout: Checkout,
        orders: OrderStore,
        changes: OrderChanges,
        events: EventStore,
    ) -> None:
        self._audit_log = audit_log
        self._checkout = checkout
        self._orders = orders
        self._changes = changes
        self._events = events

    async def CreateOrder(
        self, request: pb.CreateOrderRequest, context: Any
    ) -> pb.CreateOrderResponse:
        """Place an order and pay for it."""
        return await self._checkout.place(
            request,
            user_id=ids.parse_id(identity.caller().subject or "", field="sub"),
        )

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.GetOrderResponse:
        """Return an order."""
        order = await self._orders.get(_order_id(request), visible_to=_visible_to("GetOrder"))
        return pb.GetOrderResponse(order=convert.order_to_proto(order))

    async def ListOrders(
        self, request: pb.ListOrdersRequest, context: Any
    ) -> pb.ListOrdersResponse:
        """Return a page of orders, the newest first."""
        page = paging.read(request, cursor=Cursor.from_text)
        asked_for = ids.parse_id(request.user_id, field="user_id") if request.user_id else None
        orders = await self._orders.page(
            visible_to=_visible_to("ListOrders") or asked_for,
            states=convert.states_from_proto(request.states),
            after=page.cursor,
            size=page.limit,
        )
        return pb.ListOrdersResponse(
            orders=[convert.order_to_proto(order) for order in page.kept(orders)],
            next_page_token=page.next_token(orders, Cursor.of),
        )

    async def CancelOrder(
        self, request: pb.CancelOrderRequest, context: Any
    ) -> pb.CancelOrderResponse:
        """Undo an order that has not shipped."""
        visible_to = _visible_to("CancelOrder")
        order = await self._checkout.cancel(
            _order_id(request),
            visible_to=visible_to,
            actor=Actor.STAFF if visible_to is None else Actor.CUSTOMER,
        )
        return pb.CancelOrderResponse(order=convert.order_to_proto(order))

    async def ShipOrder(self, request: pb.ShipOrderRequest, context: Any) -> pb.ShipOrderResponse:
        """Note that an order is on its way."""
        order = await self._orders.change(
            _order_id(request), Order.ship, visible_to=None, actor=Actor.STAFF
        )
        return pb.ShipOrderResponse(order=convert.order_to_proto(order))

    async def MarkDelivered(
        self, request: pb.MarkDeliveredRequest, context: Any
    ) -> pb.MarkDeliveredResponse:
        """Note that an order has arrived."""
        order = await self._orders.change(
            _order_id(request), Order.deliver, visible_to=None, actor=Actor.STAFF
        )
        return pb.MarkDeliveredResponse(order=convert.order_to_proto(order))

    async def ListOrderEvents(
        self, request: pb.ListOrderEventsRequest, context: Any
    ) -> pb.ListOrderEventsResponse:
        """Return a page of the steps an order has taken, the first one first."""
        page = paging.read(request, cursor=_sequence_from_text)
        steps = await self._orders.steps(
            _order_id(request),
            visible_to=_visible_to("ListOrderEvents"),
            after=page.cursor or 0,
            size=page.limit,
        )
        return pb.ListOrderEventsResponse(
            events=[convert.step_to_proto(step) for step in page.kept(steps)],
            next_page_token=page.next_token(steps, lambda step: step.sequence),
        )

    async def WatchOrder(
        self, request: pb.WatchOrderRequest, context: Any
    ) -> AsyncIterator[pb.WatchOrderResponse]:
        """Tell how far an order has come, until its state is final."""
        visible_to = _visible_to("WatchOrder")
        async with aclosing(
            self._changes.follow(_order_id(request), visible_to=visible_to)
        ) as changes:
            async for order in changes:
                yield pb.WatchOrderResponse(order=convert.order_to_proto(order))

    async def ReplayEvents(
        self, request: pb.ReplayEventsRequest, context: Any
    ) -> AsyncIterator[pb.ReplayEventsResponse]:
        """Repeat the committed events since a time, or those with certain ids."""
        if request.event_ids:
            event_ids = [ids.parse_id(each, field="event_ids") for each in request.event_ids]
            found = self._events.with_ids(event_ids)
        else:
            # Empty reads as 1970, before the first event.
            found = self._events.since(convert.time_from_proto(request.since, field="since"))
        async with aclosing(found) as events:
            async for event in events:
                yield pb.ReplayEventsResponse(event=event)

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Any
    ) -> pb.ListAuditEventsResponse:
        """Return a page of the audit log."""
        return await self._audit_log.page(request, pb.ListAuditEventsResponse)


def _visible_to(rpc: str) -> UUID | None:
    return ownership.visible_to(_METHODS[rpc])


def _order_id(request: Any) -> UUID:
    return ids.parse_id(request.order_id, field="order_id")
