"""What is committed is published, at least once and in order, through every outage."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as PackedAny
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from services.local import ports
from services.local.stores import redis as redis_store
from services.mesh import database, migrate, outbox, redis_client
from services.mesh.database import Connection, Database
from services.mesh.ids import new_id
from services.mesh.relay import Relay
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1.order_events_pb2 import OrderCreated
from tests.cancellation import end
from tests.chaos.tcp_proxy import TcpProxy
from tests.conftest import Eventually

ORDER = new_id()

_RELAY_PROCESS = """
import asyncio, sys
from services.mesh import database, redis_client
from services.mesh.relay import Relay
from souk.order.v1 import order_events_pb2

async def main(url, redis_url, stream):
    redis = redis_client.connect(redis_url, name="relay")
    async with database.pool(url) as db:
        await Relay(db, redis, stream=stream).run()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def migrated_url(database_url: str) -> str:
    """Makes a database with an outbox."""
    await migrate.apply(database_url, migrate.of_mesh("outbox"))
    return database_url


@pytest.fixture
def stores(migrated_url: str, redis_url: str) -> tuple[str, str]:
    """Gives the URLs of the outbox's database and of Redis."""
    return migrated_url, redis_url


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """Opens a pool on a database with an outbox."""
    async with database.pool(migrated_url) as opened:
        yield opened


async def append(db: Database, aggregate_id: UUID = ORDER) -> UUID:
    """Commits one event."""
    async with db.transaction() as conn:
        return await outbox.append(
            conn,
            type="order.created",
            aggregate_id=aggregate_id,
            payload=OrderCreated(order_id=str(aggregate_id)),
        )


async def append_unknown(conn: Connection) -> None:
    """Appends an event whose payload nobody here knows."""
    await outbox.append(
        conn, type="order.teleported", aggregate_id=ORDER, payload=OrderCreated(order_id="7")
    )
    payload = PackedAny(type_url="type.googleapis.com/souk.order.v1.OrderTeleported", value=b"")
    await conn.execute(
        "UPDATE outbox SET payload = $1 WHERE type = 'order.teleported'",
        payload.SerializeToString(),
    )


async def texts(redis: Redis, stream: str) -> list[bytes]:
    """Returns the events in the stream as they travel."""
    entries: Any = await redis.xrange(stream)
    return [fields[b"event"] for _, fields in entries]


async def published(redis: Redis, stream: str) -> list[Event]:
    """Returns the events in the stream."""
    return [json_format.Parse(text, Event()) for text in await texts(redis, stream)]


async def published_ids(redis: Redis, stream: str) -> list[str]:
    """Returns the ids of the events in the stream."""
    return [each.event_id for each in await published(redis, stream)]


async def all_marked(db: Database) -> bool:
    """Tells whether nothing is left to publish."""
    async with db.connection() as conn:
        left = await conn.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    return bool(left == 0)


@contextlib.asynccontextmanager
async def relaying(db: Database, redis: Redis, stream: str, **settings: Any) -> AsyncIterator[None]:
    """Runs a relay for the length of the block."""
    relay = Relay(db, redis, stream=stream, poll=timedelta(milliseconds=200), **settings)
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await end([task])


async def test_envelope(db: Database, redis: Redis, unique: str, eventually: Eventually) -> None:
    """An event is in the stream and on its channel, in the envelope of the contract."""
    async with redis.pubsub() as listener, relaying(db, redis, unique):
        await listener.subscribe("order.created")
        order_id = new_id()
        event_id = await append(db, order_id)
        (event,) = await eventually(lambda: published(redis, unique))
        payload = OrderCreated()
        assert event.payload.Unpack(payload)
        assert (event.event_id, event.type) == (str(event_id), "order.created")
        assert (event.aggregate_id, event.sequence) == (str(order_id), 1)
        assert payload == OrderCreated(order_id=str(order_id))
        age = datetime.now(UTC) - event.occurred_at.ToDatetime(UTC)
        assert timedelta(0) < age < timedelta(minutes=5)
        (text,) = await texts(redis, unique)

        async def announced() -> bool:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
            return bool(message) and message["data"] == text

        await eventually(announced)


async def test_trace(db: Database) -> None:
    """An event carries the trace of the call that caused it, and none outside of a trace."""
    await append(db)
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span):
        await append(db)
    async with db.connection() as conn:
        rows = await conn.fetch("SELECT traceparent FROM outbox ORDER BY position")
    assert [row["traceparent"] for row in rows] == ["", f"00-{0xABC:032x}-{0xDEF:016x}-01"]


async def test_rolled_back(db: Database, redis: Redis, unique: str, eventually: Eventually) -> None:
    """An event whose transaction was rolled back is never published, nor leaves a gap."""
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as conn:
            await outbox.append(
                conn, type="order.created", aggregate_id=ORDER, payload=OrderCreated()
            )
            raise ZeroDivisionError
    event_id = await append(db)
    async with relaying(db, redis, unique):
        events = await eventually(lambda: published(redis, unique))
    assert [(each.event_id, each.sequence) for each in events] == [(str(event_id), 1)]


async def test_order(db: Database, redis: Redis, unique: str, eventually: Eventually) -> None:
    """Events of one aggregate, appended at once, come in the order of a sequence without gaps."""
    orders = [new_id() for _ in range(3)]
    async with relaying(db, redis, unique):
        await asyncio.gather(*(append(db, orders[n % 3]) for n in range(240)))

        async def all_published() -> bool:
            return await redis.xlen(unique) == 240

        await eventually(all_published)
    events = await published(redis, unique)
    for order in orders:
        sequence = [each.sequence for each in events if each.aggregate_id == str(order)]
        assert sequence == list(range(1, 81))


async def test_late_commit(db: Database, redis: Redis, unique: str, eventually: Eventually) -> None:
    """An event appended first and committed last is published as well."""
    async with relaying(db, redis, unique):
        async with db.transaction() as conn:
            late = await outbox.append(
                conn, type="order.created", aggregate_id=new_id(), payload=OrderCreated()
            )
            early = await append(db)
            assert await eventually(lambda: published_ids(redis, unique)) == [str(early)]

        async def both() -> bool:
            return await published_ids(redis, unique) == [str(early), str(late)]

        await eventually(both)


async def test_killed_before_the_mark(
    stores: tuple[str, str], db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """A relay killed between publishing and the mark loses nothing: the next publishes again."""
    event_id = str(await append(db))
    holder = await asyncpg.connect(stores[0])
    async with holder.transaction():
        # The mark waits for this lock, so the relay stops where it hurts most.
        await holder.execute("SELECT FROM outbox FOR UPDATE")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _RELAY_PROCESS, *stores, unique)
        )
        try:
            assert await eventually(lambda: published_ids(redis, unique)) == [event_id]
        finally:
            process.kill()
            await process.wait()
        # Else the server would finish the statement of the dead, not knowing of its death; what was
        # sent and is not being waited for yet as well, so that its session is found by its lock.
        await holder.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    await holder.close()
    async with relaying(db, redis, unique):

        async def again() -> bool:
            return await published_ids(redis, unique) == [event_id, event_id]

        await eventually(again)


async def test_one_relay_at_a_time(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """Of two relays one publishes; when its session ends, the other takes over."""
    async with relaying(db, redis, unique), relaying(db, redis, unique):
        first = str(await append(db))
        assert await eventually(lambda: published_ids(redis, unique)) == [first]
        async with db.connection() as conn:
            ended = await conn.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                " WHERE locktype = 'advisory' AND granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        assert ended == 1
        second = str(await append(db))

        async def arrived() -> bool:
            return second in await published_ids(redis, unique)

        await eventually(arrived)


async def test_a_relay_that_has_gone_silent_is_followed_by_another(
    db: Database, migrated_url: str, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """PostgreSQL takes the lock from a relay that is cut off without a word."""
    address = urlsplit(migrated_url)
    async with TcpProxy(f"{address.hostname}:{address.port}") as proxy:
        user = address.netloc.rpartition("@")[0]
        behind = urlunsplit(address._replace(netloc=f"{user}@{proxy.address}"))
        async with (
            database.pool(behind) as its,
            relaying(its, redis, unique, silence=timedelta(seconds=1)),
        ):
            # The second time round it knows all its statements, each of which is one message then.
            for _ in range(2):
                await append(db)
                assert await eventually(lambda: all_marked(db))
            proxy.hold()
            last = str(await append(db))

            async def arrived() -> bool:
                return last in await published_ids(redis, unique)

            async with relaying(db, redis, unique):
                assert await eventually(arrived)
            proxy.cut()


async def test_redis_outage(
    db: Database, tmp_path: Path, unique: str, eventually: Eventually
) -> None:
    """What is committed while Redis is away is counted, and published when it is back."""
    port = ports.free()[0]
    client = redis_client.connect(redis_store.url(port), name="test")

    def unpublished() -> float | None:
        labels = {"stream": unique}
        return REGISTRY.get_sample_value("souk_outbox_unpublished_events", labels)

    # A client of the test's own, which repeats what failed.
    repeat = Retry(ConstantBackoff(0.05), 40)
    observer = Redis.from_url(redis_store.url(port), retry=repeat)

    async with relaying(db, client, unique):
        async with redis_store.running(tmp_path, port=port):
            first = str(await append(db))
            assert await eventually(lambda: published_ids(observer, unique)) == [first]
        second = str(await append(db))

        async def counted() -> bool:
            return unpublished() == 1

        await eventually(counted)
        async with redis_store.running(tmp_path, port=port):

            async def healed() -> bool:
                # The new server has lost the first one, which is published again.
                return await published_ids(observer, unique) == [first, second]

            await eventually(healed)

            async def none_left() -> bool:
                return unpublished() == 0

            await eventually(none_left)
    await client.aclose()
    await observer.aclose()


async def test_a_lost_stream_is_filled_again(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """After FLUSHALL the stream gets what it held, in order, though nothing new is committed."""
    async with relaying(db, redis, unique):
        ids = [str(await append(db)) for _ in range(3)]
        await eventually(lambda: all_marked(db))
        await redis.delete(unique)

        async def filled() -> bool:
            return await published_ids(redis, unique) == ids

        await eventually(filled)
        await eventually(lambda: all_marked(db))
        assert await published_ids(redis, unique) == ids


async def test_what_an_older_snapshot_lacks_is_published_again(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """A Redis that came back with some entries gets the lost ones, also under newer entries."""
    async with relaying(db, redis, unique):
        ids = [str(await append(db)) for _ in range(5)]
        await eventually(lambda: all_marked(db))
    entries: Any = await redis.xrange(unique)
    await redis.xdel(unique, *(entry_id for entry_id, _ in entries[2:]))
    async with db.transaction() as conn:
        # Published long before the stream's last entry, for all that the clocks may differ.
        await conn.execute(
            "UPDATE outbox SET published_at = now() - interval '1 h' WHERE sequence <= 2"
        )
    newer = str(await append(db))
    async with relaying(db, redis, unique):

        async def healed() -> bool:
            return set(await published_ids(redis, unique)) == {*ids, newer}

        await eventually(healed)
        await eventually(lambda: all_marked(db))
    assert Counter(await published_ids(redis, unique)) == Counter([*ids, newer])


async def test_a_loss_between_two_looks_is_found(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """A stream that was lost and then added to, in the moment before, is filled all the same."""
    async with relaying(db, redis, unique):
        ids = [str(await append(db)) for _ in range(3)]
        await eventually(lambda: all_marked(db))
    relay = Relay(db, redis, stream=unique)
    async with db.connection() as conn:
        relay._last_entry = await relay._remembered_entry(conn)  # noqa: SLF001 - the moment after it looked
        await redis.delete(unique)
        newer = str(await append(db))
        await relay._publish_all(conn)  # noqa: SLF001
    assert set(await published_ids(redis, unique)) == {*ids, newer}


async def test_an_old_loss_is_left_to_replay(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """Nothing is published again that the stream would not hold any more."""
    async with relaying(db, redis, unique):
        old, young = [str(await append(db)) for _ in range(2)]
        await eventually(lambda: all_marked(db))
        async with db.connection() as conn:
            await conn.execute(
                "UPDATE outbox SET published_at = now() - interval '25 h' WHERE sequence = 1"
            )
        await redis.delete(unique)
        assert await eventually(lambda: published_ids(redis, unique)) == [young]
        assert old != young


async def test_an_event_of_a_later_release_keeps_its_place(
    db: Database, redis: Redis, unique: str, eventually: Eventually
) -> None:
    """A relay that does not know its payload tells what comes before it, and lets others try."""
    first = str(await append(db))
    async with db.transaction() as conn:
        await append_unknown(conn)
    last = str(await append(db))
    async with relaying(db, redis, unique):

        async def lock_is_free() -> bool:
            async with db.connection() as conn:
                return bool(await conn.fetchval("SELECT pg_try_advisory_lock(hashtext('outbox'))"))

        assert await eventually(lambda: published_ids(redis, unique)) == [first]
        assert await eventually(lock_is_free)
        assert await published_ids(redis, unique) == [first]
        async with db.connection() as conn:
            known = "UPDATE outbox SET payload = (SELECT payload FROM outbox WHERE position = 1)"
            await conn.execute(f"{known} WHERE position = 2")

        async def all_told() -> bool:
            return (await published_ids(redis, unique))[-1] == last

        await eventually(all_told)
        assert len(await published_ids(redis, unique)) == 3


async def test_reap(db: Database) -> None:
    """Published events go when their time is up; unpublished ones never; the sequence goes on."""
    await append(db)
    await append(db)
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE outbox SET published_at = now() - interval '2 d' WHERE sequence = 1"
        )
        assert await outbox.reap(conn, keep=timedelta(days=3)) == 0
        assert await outbox.reap(conn, keep=timedelta(days=1)) == 1
        await conn.execute("DELETE FROM outbox")
        await append(db)
        assert await conn.fetchval("SELECT sequence FROM outbox") == 3
