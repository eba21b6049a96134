"""The states of an order, what may follow what, and why an order is undone."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """How far an order has come."""

    PENDING = "PENDING"
    STOCK_RESERVED = "STOCK_RESERVED"
    PAYMENT_AUTHORIZED = "PAYMENT_AUTHORIZED"
    STOCK_COMMITTED = "STOCK_COMMITTED"
    PAYMENT_CAPTURED = "PAYMENT_CAPTURED"
    CONFIRMED = "CONFIRMED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    REFUNDED = "REFUNDED"


class Reason(StrEnum):
    """Why an order was undone."""

    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    CANCELLED_ON_REQUEST = "CANCELLED_ON_REQUEST"
    TIMED_OUT = "TIMED_OUT"


class Actor(StrEnum):
    """Who took a step."""

    CUSTOMER = "customer"
    STAFF = "staff"
    SAGA = "saga"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.PENDING: frozenset({State.STOCK_RESERVED, State.CANCELLING}),
        State.STOCK_RESERVED: frozenset({State.PAYMENT_AUTHORIZED, State.CANCELLING}),
        State.PAYMENT_AUTHORIZED: frozenset({State.STOCK_COMMITTED, State.CANCELLING}),
        State.STOCK_COMMITTED: frozenset({State.PAYMENT_CAPTURED, State.CANCELLING}),
        State.PAYMENT_CAPTURED: frozenset({State.CONFIRMED, State.CANCELLING}),
        State.CONFIRMED: frozenset({State.SHIPPED, State.CANCELLING}),
        State.SHIPPED: frozenset({State.DELIVERED}),
        State.DELIVERED: frozenset(),
        State.CANCELLING: frozenset(
            {State.CANCELLED, State.REJECTED, State.EXPIRED, State.REFUNDED}
        ),
        State.CANCELLED: frozenset(),
        State.REJECTED: frozenset(),
        State.EXPIRED: frozenset(),
        State.REFUNDED: frozenset(),
    }
)
"""The states that may follow each state."""

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""The states that nothing follows."""

UNPAID = frozenset(
    {State.PENDING, State.STOCK_RESERVED, State.PAYMENT_AUTHORIZED, State.STOCK_COMMITTED}
)
"""The states in which the saga still works towards the money, and gives up when it is overdue."""

IN_FLIGHT = UNPAID | {State.PAYMENT_CAPTURED, State.CANCELLING}
"""The states that the saga brings to an end."""

ENDS_AS: Mapping[Reason, State] = MappingProxyType(
    {
        Reason.PRODUCT_UNAVAILABLE: State.REJECTED,
        Reason.OUT_OF_STOCK: State.REJECTED,
        Reason.PAYMENT_DECLINED: State.REJECTED,
        Reason.RESERVATION_EXPIRED: State.REJECTED,
        Reason.CANCELLED_ON_REQUEST: State.CANCELLED,
        Reason.TIMED_OUT: State.EXPIRED,
    }
)
"""What an order ends as, by the reason for which it was undone, if no money was taken."""

EVENT_TYPES: Mapping[State, str] = MappingProxyType(
    {
        State.PENDING: "order.created",
        State.CONFIRMED: "order.confirmed",
        State.SHIPPED: "order.shipped",
        State.DELIVERED: "order.delivered",
        State.CANCELLED: "order.cancelled",
        State.REJECTED: "order.rejected",
        State.EXPIRED: "order.expired",
        State.REFUNDED: "order.refunded",
    }
)
"""What is published when an order comes to a state; the other states are nobody else's business."""
