"""How far a consumer group is behind its stream, for Prometheus."""

from typing import Any

from prometheus_client import Gauge
from redis.asyncio import Redis

from services.mesh.entry_id import EntryId

_PENDING = Gauge(
    "souk_consumer_pending_entries",
    "Entries delivered to the group and not acknowledged.",
    ["stream", "group"],
)
_LAG = Gauge(
    "souk_consumer_lag_seconds",
    "Age of the oldest entry that the group has not acknowledged.",
    ["stream", "group"],
)


async def measure(redis: Redis, stream: str, group: str) -> None:
    """Sets the gauges to what Redis tells, by the clock of Redis. Raises RedisError."""
    pending = await redis.xpending(stream, group)
    oldest = pending["min"] or await _first_undelivered(redis, stream, group)
    seconds, microseconds = await redis.time()
    age = seconds + microseconds / 1e6 - EntryId.parse(oldest).milliseconds / 1e3 if oldest else 0
    _PENDING.labels(stream, group).set(pending["pending"])
    _LAG.labels(stream, group).set(max(age, 0))


async def _first_undelivered(redis: Redis, stream: str, group: str) -> bytes | None:
    groups: Any = await redis.xinfo_groups(stream)
    named = (each["last-delivered-id"] for each in groups if each["name"] == group.encode())
    last = next(named, None)
    if last is None:
        # It has gone since it was asked about; its consumer makes it anew.
        return None
    entries: Any = await redis.xrange(stream, min=f"({last.decode()}", count=1)
    return entries[0][0] if entries else None
