"""Events that nobody published, as whoever can write to Redis could forge them.

ORDER stands for an order of the customer's, USER for the customer, NEW for an id that is new; REAL
is an event that the order service did publish, word for word.
"""

import json
from typing import Any

CREATED = "type.googleapis.com/souk.order.v1.OrderCreated"
_EURO = {"currencyCode": "EUR", "units": "1"}


def event(kind: str = "order.created", **fields: Any) -> str:
    """Writes an event of the customer's order, with some fields of the forger's own."""
    payload = {"@type": CREATED, "orderId": "ORDER", "userId": "USER", "total": _EURO}
    written = {
        "eventId": "NEW",
        "type": kind,
        "occurredAt": "2026-11-29T12:00:00Z",
        "aggregateId": "ORDER",
        "sequence": "99",
        "payload": payload,
        **fields,
    }
    return json.dumps({name: value for name, value in written.items() if value is not None})


EVENTS = {
    "no event": "",
    "no JSON": "order.created",
    "half an event": event()[:40],
    "a list": "[]",
    "a NUL": "\0",
    "nesting without end": "[" * 50_000,
    "no id": event(eventId=None),
    "an id that is none": event(eventId="' OR 1=1 --"),
    "no payload": event(payload=None),
    "a payload of nobody's": event(payload={"@type": "type.googleapis.com/evil.v1.Free"}),
    "an order that was never made": event(
        aggregateId="NEW",
        payload={"@type": CREATED, "orderId": "NEW", "userId": "USER", "total": _EURO},
    ),
    "the order again, under an id of its own": event(),
    "the order, paid": event("order.confirmed"),
    "the order, sent": event(
        "order.shipped",
        payload={
            "@type": "type.googleapis.com/souk.order.v1.OrderShipped",
            "orderId": "ORDER",
            "userId": "USER",
        },
    ),
    "the order, refunded": event("order.refunded"),
    "the order of another": event(
        payload={"@type": CREATED, "orderId": "ORDER", "userId": "NEW", "total": _EURO}
    ),
    "an event of years to come": event(occurredAt="2126-01-01T00:00:00Z"),
    "an event before the first": event(sequence="-1"),
    "a real event, once more": "REAL",
}
