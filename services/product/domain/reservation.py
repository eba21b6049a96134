"""Reservations of a product's stock by orders, and what they make of it.

    reserve            commit
    ──────▶  HELD  ─────────────▶  COMMITTED
              │ │                      │
     expires  │ │ release      release │ (un-commit)
       ◀──────┘ └──▶  RELEASED  ◀──────┘

An expired reservation counts as available at once, even before it is put back. RELEASED refuses a
ReserveStock of the same order that arrives late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.mesh.errors import FailedPrecondition
from services.product.domain.product import ProductArchived, ProductState

MOST_STOCK = 1_000_000

COMMITTED_KEPT = timedelta(minutes=1)
"""How long a committed reservation stays with its product at most: each makes it slower to change.

It can be found and released elsewhere. A released one must stay longer, as it refuses what is late.
"""


class ReservationState(StrEnum):
    """What an order has of a product."""

    HELD = "HELD"
    COMMITTED = "COMMITTED"
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Pieces of one product that are, or were, an order's.

    `expire_time` ends it while it is held. `change_time` is when it came into its state.
    """

    state: ReservationState
    quantity: int
    expire_time: datetime
    change_time: datetime

    def has_expired(self, now: datetime) -> bool:
        """Say whether its pieces can be bought by others again."""
        return self.state is ReservationState.HELD and self.expire_time <= now

    def due_time(self, kept: timedelta) -> datetime:
        """Return when it leaves the product: a held one expires, others are kept for a while."""
        match self.state:
            case ReservationState.HELD:
                return self.expire_time
            case ReservationState.COMMITTED:
                return self.change_time + min(kept, COMMITTED_KEPT)
            case ReservationState.RELEASED:
                return self.change_time + kept

    def released(self, now: datetime) -> "Reservation":
        """Return what stands in its place once its pieces are back."""
        return replace(self, state=ReservationState.RELEASED, change_time=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRecord:
    """The stock of one product at one moment.

    `stock` counts the pieces that nobody has. `reservations` is keyed by the order; `version`
    counts their changes.
    """

    product_id: UUID
    state: ProductState
    stock: int
    reservations: Mapping[UUID, Reservation]
    version: int

    def available(self, now: datetime) -> int:
        """Return how many pieces can be bought: those of expired reservations too."""
        expired = (each for each in self.reservations.values() if each.has_expired(now))
        return self.stock + sum(each.quantity for each in expired)

    def standing(self, order_id: UUID, now: datetime) -> Reservation | None:
        """Return what the order has already, None if it may still reserve.

        Raises ReservationGone if the order's reservation was released.
        """
        reservation = self.reservations.get(order_id)
        if reservation is None or reservation.has_expired(now):
            return None
        if reservation.state is ReservationState.RELEASED:
            message = "the reservation was released"
            raise ReservationGone(message, product_id=str(self.product_id))
        return reservation

    def check_reserve(self, quantity: int, now: datetime) -> None:
        """Return if so many can be reserved. Raises ProductArchived, OutOfStock."""
        self._check_active()
        available = self.available(now)
        if available < quantity:
            message = f"only {available} left" if available else "sold out"
            raise OutOfStock(message, product_id=str(self.product_id))

    def check_adjust(self, delta: int, now: datetime) -> None:
        """Return if the stock can change by so many. Raises ProductArchived, StockOutOfRange."""
        self._check_active()
        changed = self.available(now) + delta
        if not 0 <= changed <= MOST_STOCK:
            message = f"the stock can't be {changed:,}; it may be 0 to {MOST_STOCK:,}"
            raise StockOutOfRange(message, product_id=str(self.product_id))

    def due(self, now: datetime, kept: timedelta) -> dict[UUID, Reservation]:
        """Return the reservations whose time in the product is over, by order."""
        return {
            order_id: each
            for order_id, each in self.reservations.items()
            if each.due_time(kept) <= now
        }

    def _check_active(self) -> None:
        if self.state is not ProductState.ACTIVE:
            raise ProductArchived("the product is archived", product_id=str(self.product_id))


class OutOfStock(FailedPrecondition):
    """Fewer pieces can be bought than asked for; `product_id` in the metadata names which."""

    reason = "OUT_OF_STOCK"


class StockOutOfRange(FailedPrecondition):
    """The stock would fall below zero or rise above the most it may be."""

    reason = "STOCK_OUT_OF_RANGE"


class ReservationGone(FailedPrecondition):
    """The reservation has expired, was released or never was."""

    reason = "RESERVATION_GONE"
