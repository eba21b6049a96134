"""Orders: what they are made of, how they may change, and what can be wrong with them.

    PENDING ─▶ STOCK_RESERVED ─▶ PAYMENT_AUTHORIZED ─▶ STOCK_COMMITTED ─▶ PAYMENT_CAPTURED
       │              │                  │                    │                  │
       │              │                  │                    │                  ▼
       │              │                  │                    │              CONFIRMED ─▶ SHIPPED
       ▼              ▼                  ▼                    ▼                  │           │
    CANCELLING ◀─────────────────────────────────────────────────────────────────┘           ▼
       └─▶ CANCELLED │ REJECTED │ EXPIRED │ REFUNDED                                     DELIVERED

An order is undone by way of CANCELLING, whatever the cause: it ends as REFUNDED if money was given
back, otherwise as its reason says (`ENDS_AS`).
"""

from services.order.domain._errors import (
    MixedCurrencies,
    OrderNotFound,
    OutOfStock,
    PaymentDeclined,
    ProductUnavailable,
    ReservationExpired,
    StateConflict,
    TotalTooLarge,
)
from services.order.domain._lifecycle import (
    ENDS_AS,
    EVENT_TYPES,
    FINAL,
    IN_FLIGHT,
    TRANSITIONS,
    UNPAID,
    Actor,
    Reason,
    State,
)
from services.order.domain._order import Line, Order, Step, total

__all__ = [
    "ENDS_AS",
    "EVENT_TYPES",
    "FINAL",
    "IN_FLIGHT",
    "TRANSITIONS",
    "UNPAID",
    "Actor",
    "Line",
    "MixedCurrencies",
    "Order",
    "OrderNotFound",
    "OutOfStock",
    "PaymentDeclined",
    "ProductUnavailable",
    "Reason",
    "ReservationExpired",
    "State",
    "StateConflict",
    "Step",
    "TotalTooLarge",
    "total",
]
