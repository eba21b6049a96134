"""An order, its lines and its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from services.mesh.amount import Amount
from services.mesh.currencies import MINOR_UNITS
from services.mesh.errors import DomainError
from services.order.domain._errors import (
    MixedCurrencies,
    OutOfStock,
    PaymentDeclined,
    ProductUnavailable,
    ReservationExpired,
    StateConflict,
    TotalTooLarge,
)
from services.order.domain._lifecycle import ENDS_AS, TRANSITIONS, Actor, Reason, State

LIMIT_UNITS = 10**12
"""What an order's sum stays below, in units of its currency: then a payment provider's JSON can
hold it exactly in minor units of any currency (RFC 8259, section 6: below 2**53)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One product of an order at the price of the moment it was placed; `quantity` is above 0."""

    product_id: UUID
    sku: str
    title: str
    quantity: int
    unit_price: Amount

    @property
    def total(self) -> Amount:
        """The price of all pieces."""
        return self.unit_price * self.quantity


def total(lines: Sequence[Line]) -> Amount:
    """Returns the sum of one or more lines. Raises MixedCurrencies or TotalTooLarge."""
    if len({line.unit_price.currency for line in lines}) > 1:
        raise MixedCurrencies("an order must be in one currency")
    currency = lines[0].unit_price.currency
    minor = sum(line.unit_price.minor * line.quantity for line in lines)
    if minor >= LIMIT_UNITS * 10 ** MINOR_UNITS[currency]:
        raise TotalTooLarge(f"the sum of an order must be less than {LIMIT_UNITS:,} units")
    return Amount(currency=currency, minor=minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step in the life of an order; `sequence` counts from 1."""

    sequence: int
    from_state: State | None
    to_state: State
    reason: Reason | None
    actor: Actor
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A purchase.

    `shipping_address`: proto-JSON of google.type.PostalAddress, None if not given.
    `payment_token`: held until the payment is authorized or given up.
    `reason`, `short_product_id`: why it was undone, and the product that was the cause.
    `undone_from`: how far it had come when it began to be undone.
    `refund_refused`: the payment provider did not give the payment back.
    `sequence`: counts its steps.
    `request_id`: the customer's key of the call that placed it, None if that is not known.
    """

    order_id: UUID
    user_id: UUID
    lines: tuple[Line, ...]
    create_time: datetime
    update_time: datetime
    state: State = State.PENDING
    shipping_address: str | None = field(default=None, repr=False)
    payment_token: str | None = field(default=None, repr=False)
    payment_id: UUID | None = None
    reason: Reason | None = None
    short_product_id: UUID | None = None
    undone_from: State | None = None
    refund_refused: bool = False
    sequence: int = 1
    request_id: str | None = None

    @property
    def total(self) -> Amount:
        """The sum of the lines."""
        return total(self.lines)

    @property
    def piece_count(self) -> int:
        """The number of pieces of all products."""
        return sum(line.quantity for line in self.lines)

    @property
    def product_ids(self) -> tuple[UUID, ...]:
        """The products, in the order of the lines."""
        return tuple(line.product_id for line in self.lines)

    @property
    def may_be_paid(self) -> bool:
        """Whether the money may be set aside, or taken, without our knowing."""
        return self.undone_from is not State.PENDING

    @property
    def is_paid(self) -> bool:
        """Whether the money was taken, as far as we know."""
        return bool({self.state, self.undone_from} & _PAID)

    @property
    def rejection(self) -> DomainError | None:
        """What to tell whoever placed it, if it could not be fulfilled."""
        if self.reason is None or ENDS_AS[self.reason] is not State.REJECTED:
            return None
        error, message = _REJECTIONS[self.reason]
        metadata: dict[str, Any] = {"order_id": str(self.order_id)}
        if self.short_product_id is not None:
            metadata["product_id"] = str(self.short_product_id)
        return error(message, **metadata)

    def stock_reserved(self) -> "Order":
        """Its stock is held for a time."""
        return self._moved(State.STOCK_RESERVED)

    def payment_authorized(self, payment_id: UUID) -> "Order":
        """The money is set aside; the token is not needed any more."""
        return self._moved(State.PAYMENT_AUTHORIZED, payment_id=payment_id, payment_token=None)

    def stock_committed(self) -> "Order":
        """The stock is its own."""
        return self._moved(State.STOCK_COMMITTED)

    def payment_captured(self) -> "Order":
        """The money is taken."""
        return self._moved(State.PAYMENT_CAPTURED)

    def confirmed(self) -> "Order":
        """It waits to be shipped."""
        return self._moved(State.CONFIRMED)

    def ship(self) -> "Order":
        """It is on its way; one that is already, or has arrived, is returned as it is."""
        if self.state in (State.SHIPPED, State.DELIVERED):
            return self
        return self._moved(State.SHIPPED)

    def deliver(self) -> "Order":
        """It has arrived; one that has already is returned as it is."""
        if self.state is State.DELIVERED:
            return self
        return self._moved(State.DELIVERED)

    def cancel(self) -> "Order":
        """It is to be undone on request; one that is being undone, or was, is returned as it is."""
        if self.state in (State.CANCELLING, State.CANCELLED, State.REFUNDED):
            return self
        return self.undo(Reason.CANCELLED_ON_REQUEST)

    def undo(self, reason: Reason, *, short_product_id: UUID | None = None) -> "Order":
        """It is to be undone."""
        return self._moved(
            State.CANCELLING,
            reason=reason,
            short_product_id=short_product_id,
            undone_from=self.state,
            payment_token=None,
        )

    def undone(self, *, money_returned: bool, refund_refused: bool = False) -> "Order":
        """Nothing is left of it: neither stock nor money, unless the provider keeps the money."""
        if self.reason is None:
            raise _conflict(self.state, State.CANCELLED)
        if self.is_paid and money_returned is refund_refused:
            raise _conflict(self.state, ENDS_AS[self.reason])
        state = State.REFUNDED if money_returned else ENDS_AS[self.reason]
        return self._moved(state, refund_refused=refund_refused)

    def _moved(self, state: State, **changes: Any) -> "Order":
        if state not in TRANSITIONS[self.state]:
            raise _conflict(self.state, state)
        return replace(self, state=state, sequence=self.sequence + 1, **changes)


_PAID = frozenset({State.PAYMENT_CAPTURED, State.CONFIRMED, State.SHIPPED, State.DELIVERED})

_REJECTIONS: Mapping[Reason, tuple[type[DomainError], str]] = MappingProxyType(
    {
        Reason.PRODUCT_UNAVAILABLE: (ProductUnavailable, "a product can't be bought any more"),
        Reason.OUT_OF_STOCK: (OutOfStock, "a product has too few pieces"),
        Reason.PAYMENT_DECLINED: (PaymentDeclined, "the payment was declined"),
        Reason.RESERVATION_EXPIRED: (ReservationExpired, "the stock could not be held any longer"),
    }
)


def _conflict(state: State, wanted: State) -> StateConflict:
    message = f"an order that is {state} can't become {wanted}"
    return StateConflict(message, state=f"ORDER_STATE_{state}")
