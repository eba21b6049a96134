"""What users are told of each event, as plain text.

| in a text   | stands for                                       |
|-------------|--------------------------------------------------|
| `{order}`   | the end of the order's id, enough for people     |
| `{total}`   | the sum of the order, like "1,234.50 EUR"        |
| `{pieces}`  | how many pieces were ordered, like "3 pieces"    |
| `{reason}`  | why, for events that have a reason               |
| `{charge}`  | what became of the money of an undone order      |

An event that is not in the table is none to tell users of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.type.money_pb2 import Money

from services.mesh.currencies import MINOR_UNITS
from services.mesh.errors import InvalidArgument
from services.mesh.money import amount_from_money
from services.notification.domain import Draft
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1 import order_events_pb2, order_pb2


class EventMalformed(Exception):
    """The event is not what its type promises; the message says how."""


@dataclass(frozen=True, slots=True)
class Template:
    """The payload that an event type carries, and what users are told of it."""

    payload: type[Message]
    title: str
    body: str


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "order.created": Template(
            order_events_pb2.OrderCreated,
            "We have your order {order}",
            "Thank you for your order of {pieces} for {total}. We will tell you when it is"
            " confirmed.",
        ),
        "order.confirmed": Template(
            order_events_pb2.OrderConfirmed,
            "Your order {order} is confirmed",
            "Your payment of {total} went through. We are getting {pieces} ready for you.",
        ),
        "order.rejected": Template(
            order_events_pb2.OrderRejected,
            "Your order {order} could not be placed",
            "We could not go on with your order of {pieces}: {reason}. {charge}",
        ),
        "order.shipped": Template(
            order_events_pb2.OrderShipped,
            "Your order {order} is on its way",
            "We have sent {pieces} to you.",
        ),
        "order.delivered": Template(
            order_events_pb2.OrderDelivered,
            "Your order {order} has arrived",
            "We hope you like it. Thank you for buying from us.",
        ),
        "order.cancelled": Template(
            order_events_pb2.OrderCancelled,
            "Your order {order} is cancelled",
            "Your order of {pieces} was cancelled: {reason}. {charge}",
        ),
        "order.refunded": Template(
            order_events_pb2.OrderRefunded,
            "Your order {order} is refunded",
            "Your order was cancelled: {reason}. We have given {total} back to you.",
        ),
        "order.expired": Template(
            order_events_pb2.OrderExpired,
            "Your order {order} was not completed",
            "We could not finish your order of {pieces}: {reason}. {charge}",
        ),
    }
)

_REASONS = {
    order_pb2.ERROR_REASON_PRODUCT_UNAVAILABLE: "a product is no longer sold",
    order_pb2.ERROR_REASON_OUT_OF_STOCK: "a product is out of stock",
    order_pb2.ERROR_REASON_PAYMENT_DECLINED: "the payment was declined",
    order_pb2.ERROR_REASON_MIXED_CURRENCIES: "its products have different currencies",
    order_pb2.ERROR_REASON_CANCELLED_ON_REQUEST: "as you or our staff asked for",
    order_pb2.ERROR_REASON_RESERVATION_EXPIRED: "we could not hold the products long enough",
    order_pb2.ERROR_REASON_TIMED_OUT: "it took too long",
    order_pb2.ERROR_REASON_TOTAL_TOO_LARGE: "its sum is too large",
}
_NO_REASON = order_pb2.ERROR_REASON_UNSPECIFIED
_ANY_REASON = "something went wrong on our side"


def draft(event: Event) -> Draft | None:
    """Returns what to tell of `event`, None if nothing. Raises EventMalformed."""
    template = TEMPLATES.get(event.type)
    if template is None:
        return None
    payload: Any = template.payload()
    if not event.payload.Unpack(payload):
        raise EventMalformed(f"{event.type} carries {event.payload.TypeName() or 'nothing'}")
    try:
        order_id, user_id = UUID(payload.order_id), UUID(payload.user_id)
        total = _money_text(payload.total)
    except ValueError as error:
        raise EventMalformed(f"{event.type} names no order or no user") from error
    except InvalidArgument as error:
        raise EventMalformed(f"{event.type} names no sum of money") from error
    words = {
        "order": order_id.hex[-8:].upper(),
        "total": total,
        "pieces": f"{payload.piece_count} piece{'' if payload.piece_count == 1 else 's'}",
        "reason": _REASONS.get(getattr(payload, "reason", _NO_REASON), _ANY_REASON),
        "charge": _charge_text(total, refused=getattr(payload, "refund_refused", False)),
    }
    return Draft(
        user_id=user_id,
        order_id=order_id,
        type=event.type,
        title=template.title.format_map(words),
        body=template.body.format_map(words),
    )


def _charge_text(total: str, *, refused: bool) -> str:
    if not refused:
        return "You were not charged."
    return f"Our payment provider did not let us give {total} back; our staff will settle it."


def _money_text(money: Money) -> str:
    """Returns a sum as people read it, like "1,234.50 EUR". Raises InvalidArgument."""
    amount = amount_from_money(money, field="total")
    digits = MINOR_UNITS[amount.currency]
    units, minor = divmod(amount.minor, 10**digits)
    fraction = f".{minor:0{digits}}" if digits else ""
    return f"{units:,}{fraction} {amount.currency}"
