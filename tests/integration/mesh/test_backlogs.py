"""What has piled up is dealt with part by part, so that no statement runs into its timeout."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf import json_format
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from services.mesh import database, inbox, migrate, outbox
from services.mesh.database import Connection, Database
from services.mesh.event_stream import Consumer, DeadLetter
from services.mesh.idempotency import IdempotencyKeys
from services.mesh.ids import new_id
from services.mesh.relay import Relay
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1.order_events_pb2 import OrderCreated
from tests import table_rows
from tests.cancellation import end
from tests.conftest import Eventually

PART = 10_000

_FILL_OUTBOX = """
    INSERT INTO outbox (event_id, type, aggregate_id, sequence, traceparent, payload, published_at)
    SELECT gen_random_uuid(), 'order.created', 'order', n, '', '', $2::timestamptz
    FROM generate_series(1, $1) AS n
"""

_FILL_INBOX = """
    INSERT INTO inbox
    SELECT gen_random_uuid(), now() - interval '61 days' FROM generate_series(1, $1::integer)
"""

_FILL_KEYS = """
    INSERT INTO idempotency_keys
        (subject, method, key, fingerprint, resource, lease_until, created_at)
    SELECT 'somebody', 'CreateOrder', n::text, '', '', now(), now() - interval '73 hours'
    FROM generate_series(1, $1) AS n
"""


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a pool on a database with all that the mesh keeps."""
    kept = ("outbox", "inbox", "idempotency")
    await migrate.apply(database_url, [each for name in kept for each in migrate.of_mesh(name)])
    async with database.pool(database_url) as opened:
        yield opened


async def test_old_events_are_deleted_in_parts(db: Database) -> None:
    """The outbox forgets a backlog in several statements."""
    async with db.connection() as conn:
        long_ago = await conn.fetchval("SELECT now() - interval '40 days'")
        await conn.execute(_FILL_OUTBOX, PART + 1, long_ago)
        reaped = [await outbox.reap(conn, keep=timedelta(days=30)) for _ in range(3)]
    assert reaped == [PART, 1, 0]


async def test_old_keys_are_deleted_in_parts(db: Database) -> None:
    """Keys that are no longer kept go in several statements."""
    async with db.connection() as conn:
        await conn.execute(_FILL_KEYS, PART + 1)
    keys = IdempotencyKeys(db)
    assert [await keys.reap() for _ in range(3)] == [PART, 1, 0]


async def test_an_inbox_to_be_cleared_keeps_no_event_waiting(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """Events are handled while more is to be forgotten than one statement may delete."""
    async with db.connection() as conn:
        await conn.execute(_FILL_INBOX, 2 * PART + 1)
        await table_rows.refuse_large_deletes(conn, "inbox", most=PART)
    handled: list[str] = []

    async def handle(_conn: Connection, event: Event) -> None:
        handled.append(event.event_id)

    async def bury(_conn: Connection, letter: DeadLetter) -> None:
        raise AssertionError(letter)

    event = Event(event_id=str(new_id()), type="order.created")
    event.payload.Pack(OrderCreated(order_id="7"))
    await redis.xadd(unique, {"event": json_format.MessageToJson(event)})
    consumer = Consumer(
        *(db, redis), stream=unique, group="group", name="one", handler=handle, dead_letter=bury
    )

    async def is_done() -> bool:
        async with db.connection() as conn:
            left = await conn.fetchval("SELECT count(*) FROM inbox")
        return (left, handled) == (1, [event.event_id])

    running = asyncio.create_task(consumer.run())
    try:
        assert await eventually(is_done)
        async with db.connection() as conn:
            assert await inbox.reap(conn) == 0
    finally:
        await end([running])


async def test_unpublished_events_are_counted_up_to_a_bound(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """A relay that waits for its turn counts no more than it must, however long the backlog."""
    async with db.connection() as conn:
        await conn.execute(_FILL_OUTBOX, PART + 1, None)
    relay = Relay(db, redis, stream=unique)

    async def counted() -> float | None:
        name = "souk_outbox_unpublished_events"
        return REGISTRY.get_sample_value(name, {"stream": unique})

    async with db.connection() as conn:
        await conn.execute("SELECT pg_advisory_lock(hashtext('outbox'))")
        waiting = asyncio.create_task(relay.run())
        try:
            assert await eventually(counted) == PART
        finally:
            await end([waiting])
