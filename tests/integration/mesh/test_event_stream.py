"""Every event of a stream has one effect, whatever stops in between."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import json_format
from opentelemetry import trace
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from services.local import ports
from services.local.stores import redis as redis_store
from services.mesh import consumer_lag, database, inbox, migrate, redis_client
from services.mesh.database import Connection, Database
from services.mesh.errors import Aborted, DomainError, RemoteError, Unavailable
from services.mesh.event_stream import Consumer, DeadLetter
from services.mesh.ids import new_id
from services.mesh.stream_trim import trim
from souk.mesh.v1.event_pb2 import Event
from souk.order.v1.order_events_pb2 import OrderCreated
from tests.cancellation import end
from tests.conftest import Eventually

GROUP = "notification"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_DYING_CONSUMER = """
import asyncio, os, signal, sys
from services.mesh import database, redis_client
from services.mesh.event_stream import Consumer
from souk.order.v1 import order_events_pb2

async def die(conn, event):
    await conn.execute("INSERT INTO effects VALUES ($1)", event.event_id)
    os.kill(os.getpid(), signal.SIGKILL)

async def main(url, redis_url, stream):
    redis = redis_client.connect(redis_url, name="consumer")
    async with database.pool(url) as db:
        await Consumer(
            db, redis, stream=stream, group="notification", name="one",
            handler=die, dead_letter=die,
        ).run()

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(kw_only=True)
class Shop:
    """A consuming service: its effects and dead letters, and what goes wrong in its handler.

    `consumer_redis` is the consumer's client, `redis` the test's, which repeats what failed.
    """

    db: Database
    consumer_redis: Redis
    redis: Redis
    stream: str
    fails: Callable[[Event], Exception | None] = lambda _: None
    letters: list[DeadLetter] = field(default_factory=list)
    traces: set[str] = field(default_factory=set)
    new_groups: int = 0

    async def handle(self, conn: Connection, event: Event) -> None:
        """Has an effect, and then fails if it should."""
        await conn.execute("INSERT INTO effects VALUES ($1)", event.event_id)
        self.traces.add(f"{trace.get_current_span().get_span_context().trace_id:032x}")
        if error := self.fails(event):
            raise error

    async def bury(self, _: Connection, letter: DeadLetter) -> None:
        """Keeps a dead letter."""
        self.letters.append(letter)

    async def count_group(self) -> None:
        """Counts how often the group was made."""
        self.new_groups += 1

    @contextlib.asynccontextmanager
    async def consuming(self, name: str = "one", **settings: Any) -> AsyncIterator[None]:
        """Runs a consumer for the length of the block."""
        consumer = Consumer(
            self.db,
            self.consumer_redis,
            stream=self.stream,
            group=GROUP,
            name=name,
            handler=self.handle,
            dead_letter=self.bury,
            on_new_group=self.count_group,
            **settings,
        )
        task = asyncio.create_task(consumer.run())
        try:
            yield
        finally:
            await end([task])

    async def add(self, event_id: str | None = None) -> str:
        """Publishes an event and returns its id."""
        event = Event(event_id=event_id or str(new_id()), type="order.created")
        event.payload.Pack(OrderCreated(order_id="7"))
        event.traceparent = TRACEPARENT
        await self.redis.xadd(self.stream, {"event": json_format.MessageToJson(event)})
        return event.event_id

    async def effects(self) -> list[str]:
        """Returns the ids of the events that had an effect, in the order of the effects."""
        async with self.db.connection() as conn:
            rows = await conn.fetch("SELECT event_id FROM effects ORDER BY position")
        return [row["event_id"] for row in rows]

    async def is_done(self) -> bool:
        """Tells whether every entry was delivered and acknowledged."""
        if not await self.redis.exists(self.stream):
            return False
        last = (await self.redis.xinfo_stream(self.stream))["last-generated-id"]
        groups = await self.redis.xinfo_groups(self.stream)
        return any(each["last-delivered-id"] == last and not each["pending"] for each in groups)

    async def entries(self) -> list[bytes]:
        """Returns the ids of the entries in the stream."""
        answer: Any = await self.redis.xrange(self.stream)
        return [entry_id for entry_id, _ in answer]

    async def deliver_to(self, consumer: str) -> None:
        """Delivers every new entry to a consumer that then does nothing."""
        await self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        await self.redis.xreadgroup(GROUP, consumer, {self.stream: ">"})


@contextlib.asynccontextmanager
async def two_clients(url: str) -> AsyncIterator[tuple[Redis, Redis]]:
    """Opens a client that repeats commands by itself, and one as the mesh uses it."""
    mesh = redis_client.connect(url, name="test")
    repeat = Retry(ConstantBackoff(0.05), 40)
    async with Redis.from_url(url, retry=repeat) as repeating:
        yield repeating, mesh
    await mesh.aclose()


@pytest.fixture
async def consuming_url(database_url: str) -> str:
    """Makes a database with an inbox and a table of effects."""
    await migrate.apply(database_url, migrate.of_mesh("inbox"))
    async with database.pool(database_url) as db, db.connection() as conn:
        await conn.execute("CREATE TABLE effects (event_id text, position serial)")
    return database_url


@pytest.fixture
async def shop(consuming_url: str, redis_url: str, unique: str) -> AsyncIterator[Shop]:
    """Opens a consuming service's stores."""
    async with database.pool(consuming_url) as db, two_clients(redis_url) as (mine, its):
        yield Shop(db=db, consumer_redis=its, redis=mine, stream=unique)


async def test_each_once_in_order(shop: Shop, eventually: Eventually) -> None:
    """Events published before and while a consumer runs are handled once, in order, and acked."""
    before = [await shop.add() for _ in range(40)]
    async with shop.consuming():
        after = [await shop.add() for _ in range(3)]
        await eventually(shop.is_done)
    assert await shop.effects() == before + after
    assert shop.new_groups == 1


async def test_what_comes_together_is_committed_together(
    shop: Shop, eventually: Eventually
) -> None:
    """A backlog costs one transaction for all that is read at once; one that is known is left."""
    known = await shop.add()
    async with shop.db.transaction() as conn:
        await inbox.record(conn, UUID(known))
    ids = [await shop.add() for _ in range(10)]
    async with shop.consuming():
        await eventually(shop.is_done)
    assert await shop.effects() == ids
    async with shop.db.connection() as conn:
        assert await conn.fetchval("SELECT count(DISTINCT xmin::text) FROM effects") == 1


async def test_trace(shop: Shop, eventually: Eventually) -> None:
    """An event is handled in the trace of the call that caused it."""
    await shop.add()
    async with shop.consuming():
        await eventually(shop.is_done)
    assert shop.traces == {"0af7651916cd43dd8448eb211c80319c"}


async def test_delivered_twice(shop: Shop, eventually: Eventually) -> None:
    """An event that is published twice has one effect."""
    event_id = await shop.add()
    await shop.add(event_id)
    async with shop.consuming():
        await eventually(shop.is_done)
    assert await shop.effects() == [event_id]


async def test_two_consumers(shop: Shop, eventually: Eventually) -> None:
    """Two members of a group share the work, and nothing is done twice."""
    ids = [await shop.add() for _ in range(100)]
    async with shop.consuming("one"), shop.consuming("two"):
        await eventually(shop.is_done)
    assert sorted(await shop.effects()) == sorted(ids)


async def test_poison(shop: Shop, eventually: Eventually) -> None:
    """An event that fails five times is a dead letter without effect, and the next ones come."""
    tries: list[str] = []

    def fails(event: Event) -> Exception | None:
        tries.append(event.event_id)
        return ValueError("it is poison") if event.event_id == poison else None

    first, poison, last = [await shop.add() for _ in range(3)]
    shop.fails = fails
    async with shop.consuming():
        await eventually(shop.is_done)
    assert await shop.effects() == [first, last]
    # And once together with the two others.
    assert tries.count(poison) == 1 + 5
    (letter,) = shop.letters
    assert letter.event is not None
    assert letter.event.event_id == poison
    assert (letter.tries, letter.error) == (5, "ValueError: it is poison")


async def test_passing_failure(shop: Shop, eventually: Eventually) -> None:
    """An event that fails and then does not has its effect once and is no dead letter."""
    failures = [ValueError("once"), ValueError("twice")]
    shop.fails = lambda _: failures.pop() if failures else None
    event_id = await shop.add()
    async with shop.consuming():
        await eventually(shop.is_done)
    assert (await shop.effects(), shop.letters) == ([event_id], [])


@pytest.mark.parametrize("failure", [Unavailable("away"), Aborted("locked")])
async def test_outage_is_no_try(shop: Shop, eventually: Eventually, failure: DomainError) -> None:
    """Tries that end because the database is away, or its rows are locked, do not count."""
    failures = [failure] * 3
    shop.fails = lambda _: failures.pop() if failures else None
    event_id = await shop.add()
    async with shop.consuming(tries=2):
        await eventually(shop.is_done)
    assert (await shop.effects(), shop.letters) == ([event_id], [])


@pytest.mark.parametrize(
    "raw",
    [
        "no json",
        '{"eventId": "7"}',
        '{"eventId": "01a20912-6f3e-7c11-9d0a-5b4f1c2e8a77", "payload": {"@type": "x/un.Known"}}',
    ],
)
async def test_unreadable(shop: Shop, eventually: Eventually, raw: str) -> None:
    """An entry that cannot be read is a dead letter at once, and the next ones come."""
    await shop.redis.xadd(shop.stream, {"event": raw})
    event_id = await shop.add()
    async with shop.consuming():
        await eventually(shop.is_done)
    assert await shop.effects() == [event_id]
    assert [(each.raw, each.event) for each in shop.letters] == [(raw, None)]


async def test_only_what_the_publisher_confirms_is_handled(
    shop: Shop, eventually: Eventually
) -> None:
    """An event that its publisher does not know is a dead letter; one it knows is as it has it."""
    known = Event(event_id=str(new_id()), type="order.shipped", traceparent=TRACEPARENT)
    handled: list[Event] = []

    async def confirm(event_ids: Collection[UUID]) -> dict[UUID, Event]:
        return {each: known for each in event_ids if str(each) == known.event_id}

    def note(event: Event) -> None:
        handled.append(event)

    shop.fails = note
    await shop.add(known.event_id)
    forged = await shop.add()
    async with shop.consuming(confirm=confirm):
        await eventually(shop.is_done)
    assert handled == [known]
    (letter,) = shop.letters
    assert (letter.event, letter.error) == (None, "the publisher has no such event")
    assert forged in letter.raw


async def test_a_publisher_that_is_away_is_waited_for(shop: Shop, eventually: Eventually) -> None:
    """An event that can't be confirmed yet is neither lost nor a try, however often."""
    event_id = await shop.add()
    failures = [RemoteError("UNAVAILABLE", "away")] * 3

    async def confirm(event_ids: Collection[UUID]) -> dict[UUID, Event]:
        if failures:
            raise failures.pop()
        return {each: Event(event_id=str(each)) for each in event_ids}

    async with shop.consuming(confirm=confirm, tries=2):
        await eventually(shop.is_done)
    assert (await shop.effects(), shop.letters) == ([event_id], [])


async def test_a_group_that_goes_while_it_is_measured(shop: Shop) -> None:
    """Its lag is told as none: the consumer makes the group anew, and goes on."""

    class Interrupted(Redis):
        """Loses the group between two questions."""

        async def xpending(self, name: Any, groupname: Any) -> Any:
            pending = await super().xpending(name, groupname)
            await self.xgroup_destroy(name, groupname)
            return pending

    await shop.redis.xgroup_create(shop.stream, GROUP, id="0", mkstream=True)
    await shop.add()
    async with Interrupted(connection_pool=shop.redis.connection_pool) as redis:
        await consumer_lag.measure(redis, shop.stream, GROUP)
    labels = {"stream": shop.stream, "group": GROUP}
    assert 0 == REGISTRY.get_sample_value("souk_consumer_lag_seconds", labels)


async def test_lag(shop: Shop, eventually: Eventually) -> None:
    """How long the oldest entry waits, and how many are not acknowledged, is told."""
    await shop.redis.xadd(shop.stream, {"event": "1"}, id="1000-1")
    await shop.add()
    await shop.redis.xgroup_create(shop.stream, GROUP, id="0")

    async def told() -> list[float | None]:
        await consumer_lag.measure(shop.redis, shop.stream, GROUP)
        labels = {"stream": shop.stream, "group": GROUP}
        names = ("souk_consumer_pending_entries", "souk_consumer_lag_seconds")
        return [REGISTRY.get_sample_value(name, labels) for name in names]

    pending, lag = await told()
    assert pending == 0
    assert lag is not None
    assert lag > timedelta(days=365).total_seconds()
    await shop.redis.xreadgroup(GROUP, "gone", {shop.stream: ">"})
    assert (await told())[0] == 2
    async with shop.consuming(abandoned=timedelta(0)):
        await eventually(shop.is_done)
    assert await told() == [0, 0]


async def test_killed(
    shop: Shop, consuming_url: str, redis_url: str, eventually: Eventually
) -> None:
    """A consumer killed in the middle of an effect has had none; its successor has it, once."""
    event_id = await shop.add()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DYING_CONSUMER, consuming_url, redis_url, shop.stream)
    )
    async with asyncio.timeout(60):
        await process.wait()
    assert await shop.effects() == []
    async with shop.consuming("one"):
        await eventually(shop.is_done)
    assert await shop.effects() == [event_id]


async def test_kills_every_time(shop: Shop, eventually: Eventually) -> None:
    """An event in whose fifth try the process ended is a dead letter."""
    event_id = await shop.add()
    await shop.deliver_to("one")
    async with shop.db.connection() as conn:
        await conn.execute("INSERT INTO inbox_tries VALUES ($1, 5)", event_id)
    async with shop.consuming("one"):
        await eventually(shop.is_done)
    assert await shop.effects() == []
    (letter,) = shop.letters
    assert letter.error == "the process ended while the event was handled"


async def test_handled_and_not_acknowledged(shop: Shop, eventually: Eventually) -> None:
    """An event whose effect was committed, but not acknowledged, has no second effect."""
    event_id = await shop.add()
    await shop.deliver_to("one")
    async with shop.db.connection() as conn:
        await conn.execute("INSERT INTO inbox VALUES ($1)", event_id)
    async with shop.consuming("one"):
        await eventually(shop.is_done)
    assert await shop.effects() == []


async def test_abandoned(shop: Shop, eventually: Eventually) -> None:
    """What another consumer began and left is taken over."""
    event_id = await shop.add()
    await shop.deliver_to("gone")
    async with shop.consuming("one", abandoned=timedelta(milliseconds=50)):
        await eventually(shop.is_done)
    assert await shop.effects() == [event_id]


async def test_redis_lost_everything(shop: Shop, tmp_path: Path, eventually: Eventually) -> None:
    """After Redis came back empty, the group is made again and the publisher can be asked."""
    port = ports.free()[0]
    async with (
        two_clients(redis_store.url(port)) as (shop.redis, shop.consumer_redis),
        shop.consuming(),
    ):
        async with redis_store.running(tmp_path, port=port):
            first = await shop.add()
            await eventually(shop.is_done)
        async with redis_store.running(tmp_path, port=port):
            await shop.add(first)
            second = await shop.add()
            await eventually(shop.is_done)
    assert await shop.effects() == [first, second]
    assert shop.new_groups == 2


async def test_retention(shop: Shop, eventually: Eventually) -> None:
    """The inbox forgets what was handled long ago, and nothing younger."""
    async with shop.db.connection() as conn:
        for days in (59, 61):
            await conn.execute(
                "INSERT INTO inbox VALUES (gen_random_uuid(), now() - make_interval(days => $1))",
                days,
            )

    async def ages() -> list[int]:
        async with shop.db.connection() as conn:
            rows = await conn.fetch("SELECT extract(day FROM now() - handled_at)::int FROM inbox")
        return [row[0] for row in rows]

    async def only_the_young() -> bool:
        return await ages() == [59]

    async with shop.consuming():
        await eventually(only_the_young)


async def test_trim(shop: Shop) -> None:
    """What every group has handled goes when it is old; what one has not handled stays."""
    for _ in range(1000):
        await shop.add()
    entries = await shop.entries()
    await shop.deliver_to("one")
    await shop.redis.xack(shop.stream, GROUP, *entries[:500])
    await trim(shop.redis, shop.stream, keep=timedelta(hours=1))
    assert await shop.redis.xlen(shop.stream) == 1000
    await trim(shop.redis, shop.stream, keep=timedelta(hours=-1))
    left = await shop.entries()
    assert set(entries[500:]) <= set(left)
    assert len(left) < 1000
