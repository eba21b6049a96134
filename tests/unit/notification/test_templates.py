"""What users are told of each event."""

from typing import Any

import pytest
from google.protobuf.message import Message
from google.type.money_pb2 import Money

from services.notification.templates import TEMPLATES, EventMalformed, draft
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1 import order_events_pb2, order_pb2

ORDER_ID = "0199a3c4-0000-7000-8000-0000000000ab"
USER_ID = "0199a3c4-0000-7000-8000-000000000002"
TOTAL = Money(currency_code="EUR", units=1234, nanos=500_000_000)


def payload(kind: type[Message], **fields: Any) -> Any:
    """Returns an event message about the order."""
    message: Any = kind()
    message.order_id, message.user_id = ORDER_ID, USER_ID
    message.total.CopyFrom(fields.pop("total", TOTAL))
    message.piece_count = fields.pop("piece_count", 3)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def event(of_type: str, message: Message | None) -> Event:
    """Returns an event in its envelope."""
    made = Event(type=of_type)
    if message is not None:
        made.payload.Pack(message)
    return made


def test_every_event_of_an_order_has_a_text():
    """A new message in the contract needs a template."""
    contract = set(order_events_pb2.DESCRIPTOR.message_types_by_name)

    assert {each.payload.DESCRIPTOR.name for each in TEMPLATES.values()} == contract


@pytest.mark.parametrize("of_type", TEMPLATES)
def test_a_text_is_complete(of_type: str):
    """Every placeholder is filled, and the draft knows whom and what it is about."""
    told = draft(event(of_type, payload(TEMPLATES[of_type].payload)))

    assert told is not None
    assert (str(told.user_id), str(told.order_id), told.type) == (USER_ID, ORDER_ID, of_type)
    assert "000000AB" in told.title
    assert not {"{", "}"} & set(told.title + told.body)


def test_a_confirmed_order_is_told_with_sum_and_pieces():
    """The text reads like this."""
    told = draft(event("order.confirmed", payload(order_events_pb2.OrderConfirmed)))

    assert told is not None
    assert told.title == "Your order 000000AB is confirmed"
    assert told.body == (
        "Your payment of 1,234.50 EUR went through. We are getting 3 pieces ready for you."
    )


def test_a_rejected_order_is_told_with_the_reason():
    """One piece is no pieces."""
    message = payload(
        order_events_pb2.OrderRejected,
        piece_count=1,
        reason=order_pb2.ERROR_REASON_OUT_OF_STOCK,
    )
    told = draft(event("order.rejected", message))

    assert told is not None
    assert told.body == (
        "We could not go on with your order of 1 piece: a product is out of stock."
        " You were not charged."
    )


@pytest.mark.parametrize("of_type", ["order.rejected", "order.cancelled", "order.expired"])
def test_a_refused_refund_is_not_told_as_no_charge(of_type: str):
    """Whose money is kept by the provider is told so."""
    message = payload(TEMPLATES[of_type].payload, refund_refused=True)
    told = draft(event(of_type, message))

    assert told is not None
    assert told.body.endswith(
        "Our payment provider did not let us give 1,234.50 EUR back; our staff will settle it."
    )


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(currency_code="EUR", units=0, nanos=50_000_000), "0.05 EUR"),
        (Money(currency_code="JPY", units=1_000_000), "1,000,000 JPY"),
        (Money(currency_code="KWD", units=1, nanos=5_000_000), "1.005 KWD"),
    ],
)
def test_sums_have_the_digits_of_their_currency(money: Money, text: str):
    """None for yen, three for dinars."""
    told = draft(event("order.confirmed", payload(order_events_pb2.OrderConfirmed, total=money)))

    assert told is not None
    assert f"Your payment of {text} went through." in told.body


def test_an_unknown_event_is_none_to_tell_of():
    """A newer publisher may publish more."""
    assert draft(event("order.gift_wrapped", None)) is None


@pytest.mark.parametrize(
    "message",
    [
        None,
        payload(order_events_pb2.OrderShipped),
        payload(order_events_pb2.OrderCreated, user_id="nobody"),
        payload(order_events_pb2.OrderCreated, order_id=""),
        payload(order_events_pb2.OrderCreated, total=Money(currency_code="XXX")),
    ],
    ids=["no payload", "another payload", "no user", "no order", "no currency"],
)
def test_an_event_that_breaks_its_promise_is_refused(message: Message | None):
    """It carries what its type says, and names the order, the user and the sum."""
    with pytest.raises(EventMalformed):
        draft(event("order.created", message))
