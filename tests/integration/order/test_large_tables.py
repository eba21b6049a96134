"""Queries that read no more of a large table than they return, whatever PostgreSQL knows of it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.mesh import database, migrate
from services.mesh.database import Database
from services.order.domain import State
from services.order.store import Cursor, EventStore, LeaseStore, OrderStore
from tests import table_rows

ROWS = 20_000
LONG = timedelta(minutes=1)

_PLACE = """
    INSERT INTO orders (order_id, user_id, state, currency, total_minor, sequence, pay_by,
        next_attempt_at, create_time)
    SELECT gen_random_uuid(), gen_random_uuid(), $2, 'EUR', 100, 1, now(),
        $3::text::timestamptz, now() - make_interval(secs => n + $4)
    FROM generate_series(1, $1::integer) AS n
"""

_GIVE_LINES = """
    INSERT INTO order_lines SELECT order_id, 1, order_id, 'A-1', 'A thing', 1, 100 FROM orders
"""

# One a second, the last one now and not published yet.
_FILL_OUTBOX = """
    INSERT INTO outbox (event_id, type, aggregate_id, sequence, traceparent, payload, occurred_at,
        published_at)
    SELECT gen_random_uuid(), 'order.created', 'order', n, '', '',
        now() - make_interval(secs => $1 - n),
        CASE WHEN n < $1 THEN now() - make_interval(secs => $1 - n) END
    FROM generate_series(1, $1::integer) AS n
"""


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens an empty database by one connection, so that what it has read can be counted."""
    mesh = ("audit", "outbox", "idempotency")
    await migrate.run(database_url, package="services.order", mesh=mesh)
    async with database.pool(database_url, max_size=1) as opened:
        yield opened


async def test_a_worker_takes_no_more_than_it_asked_for(db: Database) -> None:
    """When statistics are of a time with few orders too, as at the beginning of a rush."""
    async with db.connection() as conn:
        await conn.execute(_PLACE, 1, "PENDING", "now", 0)
        await conn.execute(_GIVE_LINES)
        await conn.execute("ANALYZE")
        await conn.execute(_PLACE, 5, "PENDING", "now", 0)
        await conn.execute(_GIVE_LINES + "ON CONFLICT DO NOTHING")
    leases = LeaseStore(db, duration=LONG)
    assert [len(await leases.acquire_due(2)) for _ in range(4)] == [2, 2, 2, 0]


async def test_the_orders_of_a_rare_state_are_found_among_many(db: Database) -> None:
    """Page by page, with those of another state between them, and without reading the others."""
    async with db.connection() as conn:
        await conn.execute(_PLACE, ROWS, "DELIVERED", None, 0)
        await conn.execute(_PLACE, 3, "CANCELLING", "now", ROWS)
        await conn.execute(_PLACE, 3, "PENDING", "now", ROWS)
        await conn.execute(_GIVE_LINES)
        await conn.execute("ANALYZE")
        rare = await conn.fetch(
            "SELECT order_id FROM orders WHERE state <> 'DELIVERED'"
            " ORDER BY create_time DESC, order_id DESC"
        )
    store = OrderStore(db, pay_within=LONG)
    before, found, after = await table_rows.read(db, "orders"), [], None
    states = [State.CANCELLING, State.PENDING, State.PENDING]
    while page := await store.page(visible_to=None, states=states, after=after, size=4):
        found += [order.order_id for order in page]
        after = Cursor.of(page[-1])

    assert found == [row["order_id"] for row in rare]
    assert await table_rows.read(db, "orders") - before < 100


async def test_late_events_are_replayed_without_reading_the_early_ones(db: Database) -> None:
    """From a time on, whether they were published or not."""
    async with db.connection() as conn:
        await conn.execute(_FILL_OUTBOX, ROWS)
        await conn.execute("ANALYZE")
        first = "SELECT occurred_at FROM outbox WHERE sequence = $1"
        since = await conn.fetchval(first, ROWS - 999)
    before = await table_rows.read(db, "outbox")
    replayed = [event.sequence async for event in EventStore(db).since(since)]
    read = await table_rows.read(db, "outbox") - before
    assert (replayed, read < 1200) == (list(range(ROWS - 999, ROWS + 1)), True)
