"""Changes of orders: who waits is told at once, not at the next poll."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from services.mesh import database
from services.mesh.database import Database
from services.mesh.wake_ups import WakeUps
from services.order.domain import Actor, Order, State
from services.order.settings import Settings
from services.order.store import LeaseStore, OrderChanges, OrderStore
from tests.cancellation import end
from tests.conftest import Eventually
from tests.integration.order.test_leases import LONG, NO_TIME, new_order

NEVER = timedelta(days=1)


@pytest.fixture(scope="module")
async def db(settings: Settings) -> AsyncIterator[Database]:
    """Opens the order service's database; no worker is at work on it."""
    async with database.pool(settings.database_url.reveal()) as opened:
        yield opened


@pytest.fixture
async def changes(db: Database) -> AsyncIterator[OrderChanges]:
    """Gives changes that are told by notifications alone."""
    told = OrderChanges(db, OrderStore(db, pay_within=LONG), poll=NEVER)
    listening = asyncio.create_task(told.run())
    async with asyncio.timeout(60):
        await told.due.wait()
    told.due.clear()
    yield told
    await end([listening])


@pytest.fixture
async def wake_ups(db: Database) -> AsyncIterator[WakeUps]:
    """Sends wake-ups."""
    sent = WakeUps(db)
    sending = asyncio.create_task(sent.run())
    yield sent
    await end([sending])


async def test_a_follower_is_told_at_once(
    db: Database, changes: OrderChanges, wake_ups: WakeUps
) -> None:
    """What follows an order is woken by each step."""
    store = OrderStore(db, pay_within=LONG, wake=wake_ups.send)
    lease = await store.place(new_order(), lease=LONG)
    assert lease is not None
    order_id = lease.order.order_id
    async with aclosing(changes.follow(order_id, visible_to=None)) as followed, asyncio.timeout(60):
        states = [(await anext(followed)).state]
        await store.change(order_id, Order.cancel, visible_to=None, actor=Actor.CUSTOMER)
        states.append((await anext(followed)).state)
    assert states == [State.PENDING, State.CANCELLING]


async def test_a_worker_is_told_at_once(
    db: Database, changes: OrderChanges, wake_ups: WakeUps, eventually: Eventually
) -> None:
    """A worker is woken when an order is given up by whoever worked on it."""
    lease = await OrderStore(db, pay_within=LONG).place(new_order(), lease=NO_TIME)
    assert lease is not None
    await LeaseStore(db, duration=LONG, wake=wake_ups.send).release(lease)

    async def told() -> bool:
        return changes.due.is_set()

    await eventually(told)


async def test_followers_leave_nothing_behind(db: Database, changes: OrderChanges) -> None:
    """A follower that stops is forgotten."""
    lease = await OrderStore(db, pay_within=LONG).place(new_order(), lease=LONG)
    assert lease is not None
    async with aclosing(changes.follow(lease.order.order_id, visible_to=None)) as followed:
        await anext(followed)
        assert len(changes.watchers) == 1
    assert len(changes.watchers) == 0
