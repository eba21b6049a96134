"""Leases: one worker on an order at a time, and the newest one alone can write."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.mesh import database
from services.mesh.amount import Amount
from services.mesh.database import Database
from services.mesh.ids import new_id
from services.order.domain import Actor, Line, Order, Reason, State
from services.order.settings import Settings
from services.order.store import (
    EventStore,
    Figures,
    FigureStore,
    LeaseLost,
    LeaseStore,
    NewOrder,
    OrderStore,
)
from tests.integration.order.conftest import OK

NO_TIME = timedelta(0)
LONG = timedelta(minutes=1)


@pytest.fixture(scope="module")
async def db(settings: Settings) -> AsyncIterator[Database]:
    """Opens the order service's database; no worker is at work on it."""
    async with database.pool(settings.database_url.reveal()) as opened:
        yield opened


def new_order() -> NewOrder:
    """Returns an order to place."""
    line = Line(
        product_id=new_id(),
        sku="A-1",
        title="A thing",
        quantity=1,
        unit_price=Amount(currency="EUR", minor=100),
    )
    return NewOrder(
        order_id=new_id(), user_id=new_id(), lines=(line,), payment_token=OK, request_id="key"
    )


async def placed(db: Database) -> UUID:
    """Places an order that nobody works on."""
    lease = await OrderStore(db, pay_within=LONG).place(new_order(), lease=NO_TIME)
    assert lease is not None
    return lease.order.order_id


async def test_an_order_is_placed_once(db: Database) -> None:
    """A second order with the same id is not placed, and the first stays leased."""
    new, store = new_order(), OrderStore(db, pay_within=LONG)
    first, second = [await store.place(new, lease=LONG) for _ in range(2)]
    assert (first is not None, second) == (True, None)
    assert await LeaseStore(db, duration=LONG).acquire(new.order_id) is None


async def test_a_lost_lease_writes_nothing(db: Database) -> None:
    """Who comes back after the lease was taken over can't write; who took it over can."""
    order_id = await placed(db)
    leases = LeaseStore(db, duration=NO_TIME)
    first, second = await leases.acquire(order_id), await leases.acquire(order_id)
    assert first is not None
    assert second is not None
    with pytest.raises(LeaseLost):
        await leases.record(first, first.order.stock_reserved())
    recorded = await leases.record(second, second.order.undo(Reason.TIMED_OUT))
    store = OrderStore(db, pay_within=LONG)
    assert await store.get(order_id, visible_to=None) == recorded.order
    steps = await store.steps(order_id, visible_to=None, after=0, size=10)
    assert [step.to_state for step in steps] == [State.PENDING, State.CANCELLING]


async def test_a_lost_lease_does_not_free_the_order(db: Database) -> None:
    """Who comes back after the lease was taken over can't give the order away either."""
    order_id = await placed(db)
    first = await LeaseStore(db, duration=NO_TIME).acquire(order_id)
    second = await LeaseStore(db, duration=LONG).acquire(order_id)
    assert first is not None
    assert second is not None
    await LeaseStore(db, duration=LONG).release(first)
    assert await LeaseStore(db, duration=LONG).acquire(order_id) is None


async def test_a_settled_order_is_not_made_due_again(db: Database) -> None:
    """Who was cut off in the order's last step, which was committed, does not wake the order."""
    order_id = await placed(db)
    leases = LeaseStore(db, duration=NO_TIME)
    lease = await leases.acquire(order_id)
    assert lease is not None
    undoing = await leases.record(lease, lease.order.undo(Reason.TIMED_OUT))
    await leases.record(undoing, undoing.order.undone(money_returned=False))
    await leases.release(undoing)
    assert await leases.acquire(order_id) is None


async def test_a_person_s_change_ends_the_lease(db: Database) -> None:
    """Cancelling takes the order out of the hands of whoever works on it."""
    order_id = await placed(db)
    leases = LeaseStore(db, duration=LONG)
    lease = await leases.acquire(order_id)
    assert lease is not None
    await OrderStore(db, pay_within=LONG).change(
        order_id, Order.cancel, visible_to=None, actor=Actor.CUSTOMER
    )
    with pytest.raises(LeaseLost):
        await leases.record(lease, lease.order.stock_reserved())


async def test_due_orders_are_taken_once(db: Database) -> None:
    """Many workers at the same time share the due orders; none is taken twice."""
    mine = {await placed(db) for _ in range(10)}
    leases = LeaseStore(db, duration=LONG)
    orders: list[UUID] = []

    async def take() -> None:
        while taken := await leases.acquire_due(3):
            orders.extend(lease.order.order_id for lease in taken)

    await asyncio.gather(*(take() for _ in range(8)))
    assert len(orders) == len(set(orders))
    assert mine <= set(orders)


async def test_an_order_that_waits_is_not_due(db: Database) -> None:
    """An order that was released for later is left alone until then."""
    order_id = await placed(db)
    leases = LeaseStore(db, duration=LONG)
    lease = await leases.acquire(order_id)
    assert lease is not None
    await leases.release(lease, retry_in=LONG)
    due = await leases.acquire_due(100)
    assert order_id not in {each.order.order_id for each in due}


async def test_a_lease_is_prolonged_by_its_holder_alone(db: Database) -> None:
    """Between two effects of one step the lease begins anew, unless it was lost."""
    order_id = await placed(db)
    short, long = LeaseStore(db, duration=NO_TIME), LeaseStore(db, duration=LONG)
    first = await short.acquire(order_id)
    assert first is not None
    await long.renew(first)
    assert await long.acquire(order_id) is None
    await short.renew(first)
    assert await long.acquire(order_id) is not None
    with pytest.raises(LeaseLost):
        await long.renew(first)


async def test_what_is_not_published_yet_can_be_replayed(db: Database) -> None:
    """Consumers can ask for what was committed, whether or not Redis has it."""
    order_id = await placed(db)
    since = datetime(2026, 1, 1, tzinfo=UTC)
    events = [event async for event in EventStore(db).since(since)]
    assert [each.type for each in events if each.aggregate_id == str(order_id)] == ["order.created"]


async def test_orders_that_should_have_ended_are_stuck(db: Database) -> None:
    """Unpaid ones some time after they are overdue, others some time after their last step."""
    leases, figures = LeaseStore(db, duration=LONG), FigureStore(db)
    unpaid, undoing, young = [await placed(db) for _ in range(3)]
    lease = await leases.acquire(undoing)
    assert lease is not None
    await leases.record(lease, lease.order.undo(Reason.TIMED_OUT))

    async def stuck() -> list[UUID]:
        found = await figures.stuck(longer_than=timedelta(minutes=2), most=1000)
        return [each for each in found if each in (unpaid, undoing, young)]

    assert await stuck() == []
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE orders SET pay_by = now() - interval '3 min' WHERE order_id = $1", unpaid
        )
        await conn.execute(
            "UPDATE orders SET update_time = now() - interval '3 min' WHERE order_id = $1", undoing
        )
    assert await stuck() == [unpaid, undoing]
    assert (await figures.by_state())[State.CANCELLING].oldest_seconds > 179
    before = (await figures.by_state())[State.CANCELLING].count
    async with db.connection() as conn:
        await conn.execute("UPDATE orders SET next_attempt_at = NULL WHERE order_id = $1", undoing)
    assert await stuck() == [unpaid]
    after = (await figures.by_state()).get(State.CANCELLING, Figures())
    assert after.count == before - 1


async def test_a_settled_order_is_not_due(db: Database) -> None:
    """Nobody takes up an order that the saga has ended."""
    order_id = await placed(db)
    leases = LeaseStore(db, duration=LONG)
    lease = await leases.acquire(order_id)
    assert lease is not None
    undoing = await leases.record(lease, lease.order.undo(Reason.OUT_OF_STOCK))
    await leases.record(undoing, undoing.order.undone(money_returned=False))
    assert await leases.acquire(order_id) is None
