"""Stores that die, forget, or hang."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.books import STREAM
from tests.chaos.quiescence import drained
from tests.chaos.scene import Scene

_DRAINED_SECONDS = 30


async def redis_down(scene: Scene) -> int:
    """Redis is gone for thirty seconds while orders go on; then the outbox drains."""
    async with scene.world.processes["redis"].down():
        await asyncio.sleep(scene.seconds(30))
    seconds = await drained(scene.world.sources, seconds=_DRAINED_SECONDS)
    scene.history.note("outbox drained", seconds=seconds, alone=scene.alone)
    return 1


async def redis_emptied(scene: Scene) -> int:
    """Redis loses everything that it has, as by FLUSHALL, without going down."""
    async with (
        Redis.from_url(scene.world.sources.redis) as redis,
        redis.pipeline(transaction=True) as both,
    ):
        _ = both.xrange(STREAM)
        _ = both.flushall()
        entries, _ = await both.execute()
    scene.history.note(
        "stream lost",
        entries=[entry_id.decode() for entry_id, _ in entries],
        events=[_event_id(fields) for _, fields in entries],
    )
    return 1


async def postgres_backends_killed(scene: Scene) -> int:
    """PostgreSQL ends every session of one service in the midst of what it does."""
    service = scene.dice.choice(("order", "payment", "notification", "user"))
    conn = await asyncpg.connect(scene.world.sources.postgres)
    try:
        return int(
            await conn.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = $1",
                service,
            )
        )
    finally:
        await conn.close()


async def postgres_killed(scene: Scene) -> int:
    """The whole PostgreSQL is killed, and recovers from its log."""
    async with scene.world.processes["postgres"].down():
        await asyncio.sleep(scene.seconds(2))
    return 1


async def mongo_restarted_in_a_reservation(scene: Scene) -> int:
    """The MongoDB-wire store is killed while orders have some of their stock and not all."""
    world = scene.world
    async with (
        world.armed("product", "product.after_take=stop") as reached,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(scene.buy(role="victim"))
        stopped = await reached(seconds=60)
        async with world.processes["mongo"].down():
            world.processes["product"].resume()
            await asyncio.sleep(scene.seconds(2))
    return int(stopped)


async def a_store_hangs(scene: Scene) -> int:
    """A store answers nothing for a while, and then all of it."""
    process = scene.world.processes[scene.dice.choice(("postgres", "redis", "mongo"))]
    async with process.stopped():
        await asyncio.sleep(scene.seconds(6))
    return 1


async def poison_events(scene: Scene) -> int:
    """Somebody puts into the stream what nobody can handle."""
    event_id = f"01900000-0000-7000-8000-{scene.dice.getrandbits(48):012x}"
    broken = {
        "eventId": event_id,
        "type": "order.confirmed",
        "aggregateId": "nobody",
        "sequence": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
    }
    garbage = f"not an event {scene.dice.getrandbits(48):012x}"
    added = 0
    async with Redis.from_url(scene.world.sources.redis) as redis:
        for raw, known_as in ((json.dumps(broken), event_id), (garbage, "")):
            try:
                entry: Any = await redis.xadd(STREAM, {"event": raw})
            except RedisError:
                continue
            scene.history.note("poison", entry=entry.decode(), event=known_as, raw=raw)
            added += 1
    return added


def _event_id(fields: Mapping[bytes, bytes]) -> str:
    try:
        return str(json.loads(fields[b"event"])["eventId"])
    except (ValueError, KeyError):
        return ""
