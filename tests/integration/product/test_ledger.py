"""The stock of one product against a model, over random histories.

Whatever orders, merchants, sweeps and the clock do, at every step

    put in = stock + held + committed
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.mesh.errors import DomainError
from services.mesh.ids import new_id

from .conftest import KEPT, Parts

ORDERS = 3
LIFE = timedelta(minutes=1)


@dataclass(slots=True)
class Model:
    """What must be so. `held` has a quantity and an end for each order."""

    put_in: int
    now: datetime
    held: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)

    def stock(self) -> int:
        """Return how many pieces can be bought."""
        held = sum(quantity for quantity, end in self.held.values() if end > self.now)
        return self.put_in - held - sum(self.committed.values())

    def holds(self, order: int) -> bool:
        """Say whether the order holds pieces that have not expired."""
        return order in self.held and self.held[order][1] > self.now

    def reserve(self, order: int, quantity: int) -> bool:
        """Say whether the order has pieces afterwards."""
        if self.holds(order) or order in self.committed:
            return True
        if order in self.released or self.stock() < quantity:
            return False
        self.held[order] = (quantity, self.now + LIFE)
        return True

    def commit(self, order: int, _: int) -> bool:
        """Say whether the order's pieces are final afterwards."""
        if self.holds(order):
            self.committed[order] = self.held.pop(order)[0]
        return order in self.committed

    def release(self, order: int, _: int) -> bool:
        """Put back what the order has."""
        self.held.pop(order, None)
        self.committed.pop(order, None)
        self.released.add(order)
        return True

    def restock(self, _: int, quantity: int) -> bool:
        """Put more in."""
        self.put_in += quantity
        return True

    def take_away(self, _: int, quantity: int) -> bool:
        """Say whether so many could be taken away."""
        if self.stock() < quantity:
            return False
        self.put_in -= quantity
        return True

    def sweep(self, _: int, __: int) -> bool:
        """Change nothing that is seen."""
        return True

    def expire(self, _: int, __: int) -> bool:
        """Let what is held expire."""
        self.now += LIFE
        return True

    def grow_old(self, _: int, __: int) -> bool:
        """Let what was released be forgotten."""
        self.now += KEPT
        self.released.clear()
        return True


@dataclass(frozen=True, slots=True)
class Real:
    """The same over the database."""

    parts: Parts
    product_id: UUID
    orders: tuple[UUID, ...]

    async def reserve(self, order: int, quantity: int) -> None:
        """Reserve."""
        quantities = {self.product_id: quantity}
        await self.parts.reservations.reserve(self.orders[order], quantities, LIFE)

    async def commit(self, order: int, _: int) -> None:
        """Commit."""
        await self.parts.reservations.commit(self.orders[order], [self.product_id])

    async def release(self, order: int, _: int) -> None:
        """Release."""
        await self.parts.reservations.release(self.orders[order], [self.product_id])

    async def restock(self, _: int, quantity: int) -> None:
        """Put more in."""
        await self.parts.stock.adjust(self.product_id, quantity)

    async def take_away(self, _: int, quantity: int) -> None:
        """Take some away."""
        await self.parts.stock.adjust(self.product_id, -quantity)

    async def sweep(self, _: int, __: int) -> None:
        """Sweep."""
        await self.parts.stock.sweep()

    async def expire(self, _: int, __: int) -> None:
        """Let what is held expire."""
        self.parts.clock.advance(LIFE)

    async def grow_old(self, _: int, __: int) -> None:
        """Let everything grow old enough to leave the document, and sweep."""
        self.parts.clock.advance(KEPT)
        await self.parts.stock.sweep()


ACTIONS = ("reserve", "commit", "release", "restock", "take_away", "sweep", "expire", "grow_old")

steps_of_a_history = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, ORDERS - 1), st.integers(1, 4)),
    max_size=14,
)


@given(steps=steps_of_a_history)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_the_ledger_agrees_with_the_model(parts: Parts, steps: list[tuple[str, int, int]]):
    """After every step of any history the outcome and the stock are the model's."""
    await parts.clock.stop()
    model = Model(put_in=5, now=await parts.clock.now())
    orders = tuple(new_id() for _ in range(ORDERS))
    real = Real(parts, await parts.product(stock=model.put_in), orders)
    for action, order, quantity in steps:
        expected = getattr(model, action)(order, quantity)
        actual = await _came_through(getattr(real, action)(order, quantity))
        record = await parts.stock.record(real.product_id)
        shown = record.available(model.now)
        assert (actual, shown, record.stock >= 0) == (expected, model.stock(), True), action

    await parts.stock.sweep()

    assert await parts.stock_of(real.product_id) == model.stock()


async def _came_through(call: Awaitable[None]) -> bool:
    try:
        await call
    except DomainError:
        return False
    return True
