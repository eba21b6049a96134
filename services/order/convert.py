"""Between the contract and the domain."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.postal_address_pb2 import PostalAddress

from services.mesh import etag, ids
from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.money import money_from_amount
from services.order.domain import Line, Order, Reason, State, Step
from souk.order.v1 import order_events_pb2, order_pb2

_STATES = {state: order_pb2.OrderState.Value(f"ORDER_STATE_{state}") for state in State}
_STATES_FROM_PROTO = {message: state for state, message in _STATES.items()}
_REASONS: Mapping[Reason | None, order_pb2.ErrorReason.ValueType] = {
    None: order_pb2.ERROR_REASON_UNSPECIFIED,
    **{reason: order_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}") for reason in Reason},
}

_EVENTS: Mapping[State, type[Any]] = MappingProxyType(
    {
        State.PENDING: order_events_pb2.OrderCreated,
        State.CONFIRMED: order_events_pb2.OrderConfirmed,
        State.SHIPPED: order_events_pb2.OrderShipped,
        State.DELIVERED: order_events_pb2.OrderDelivered,
        State.CANCELLED: order_events_pb2.OrderCancelled,
        State.REJECTED: order_events_pb2.OrderRejected,
        State.EXPIRED: order_events_pb2.OrderExpired,
        State.REFUNDED: order_events_pb2.OrderRefunded,
    }
)


def order_to_proto(order: Order) -> order_pb2.Order:
    """Return the message that tells of `order`."""
    return order_pb2.Order(
        order_id=str(order.order_id),
        user_id=str(order.user_id),
        state=_STATES[order.state],
        lines=[_line_to_proto(line) for line in order.lines],
        total=money_from_amount(order.total),
        shipping_address=_address_to_proto(order.shipping_address),
        state_reason=_REASONS[order.reason],
        payment_id=str(order.payment_id or ""),
        create_time=_time(order.create_time),
        update_time=_time(order.update_time),
        etag=etag.of(order.order_id, order.sequence),
        refund_refused=order.refund_refused,
    )


def step_to_proto(step: Step) -> order_pb2.OrderEvent:
    """Return the message that tells of `step`."""
    return order_pb2.OrderEvent(
        sequence=step.sequence,
        from_state=_STATES[step.from_state]
        if step.from_state
        else order_pb2.ORDER_STATE_UNSPECIFIED,
        to_state=_STATES[step.to_state],
        reason=_REASONS[step.reason],
        actor=step.actor,
        occurred_at=_time(step.occurred_at),
    )


def event_from_order(order: Order) -> Message:
    """Return what is published when an order comes to its state. Raises KeyError if nothing is."""
    payload = _EVENTS[order.state](
        order_id=str(order.order_id),
        user_id=str(order.user_id),
        total=money_from_amount(order.total),
        piece_count=order.piece_count,
    )
    if order.state is State.CONFIRMED:
        payload.payment_id = str(order.payment_id)
    if order.reason is not None:
        payload.reason = _REASONS[order.reason]
    if order.refund_refused:
        payload.refund_refused = True
    message: Message = payload
    return message


def quantities_from_proto(items: Iterable[order_pb2.OrderItem]) -> dict[UUID, int]:
    """Return the pieces to buy of each product.

    Raises InvalidArgument when a product stands in two items: ids that differ in case are the same.
    """
    quantities: dict[UUID, int] = {}
    for index, item in enumerate(items):
        field = f"items[{index}].product_id"
        product_id = ids.parse_id(item.product_id, field=field)
        if product_id in quantities:
            message = "each product may stand in one item only"
            raise InvalidArgument(message, violations=[FieldViolation(field, message)])
        quantities[product_id] = item.quantity
    return quantities


def states_from_proto(messages: Iterable[order_pb2.OrderState.ValueType]) -> list[State]:
    """Return the states that the contract's values name."""
    return [_STATES_FROM_PROTO[message] for message in messages]


def time_from_proto(message: Timestamp, *, field: str) -> datetime:
    """Return the time that a request's `field` holds. Raises InvalidArgument if it is none."""
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        description = "must be a time from the year 1 to the year 9999"
        violation = FieldViolation(field, description, "TIMESTAMP")
        raise InvalidArgument(f"{field} {description}", violations=[violation]) from error


def address_from_proto(address: PostalAddress) -> str:
    """Return the address as proto-JSON."""
    return json_format.MessageToJson(address, indent=None)


def _address_to_proto(address: str | None) -> PostalAddress | None:
    return None if address is None else json_format.Parse(address, PostalAddress())


def _line_to_proto(line: Line) -> order_pb2.OrderLine:
    return order_pb2.OrderLine(
        product_id=str(line.product_id),
        sku=line.sku,
        title=line.title,
        quantity=line.quantity,
        unit_price=money_from_amount(line.unit_price),
        line_total=money_from_amount(line.total),
    )


def _time(value: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(value)
    return message
