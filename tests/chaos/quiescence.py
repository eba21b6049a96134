"""Waiting until nothing is left to do, and how long that took."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.books import GROUP, STREAM
from tests.chaos.sources import Sources

_POLL_SECONDS = 0.1

_IN_FLIGHT = "SELECT count(*) FROM orders WHERE next_attempt_at IS NOT NULL"
_BEGUN_BEFORE = _IN_FLIGHT + " AND create_time < $1"
_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
_EVENTS = "SELECT count(*) FROM outbox"
_UNKNOWN = "SELECT count(*) FROM payments WHERE open_key IS NOT NULL"
_TOLD = """
    SELECT (SELECT count(*) FROM notifications)
        + (SELECT count(*) FROM dead_letters WHERE event_id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How long it took, in seconds, until `what` was so; None if it was not in time."""

    sagas: float | None
    payments: float | None
    outbox: float | None
    notifications: float | None

    @property
    def complete(self) -> bool:
        """Whether nothing was left to do."""
        return None not in {self.sagas, self.payments, self.outbox, self.notifications}


async def settle(sources: Sources, *, seconds: float) -> Settling:
    """Waits until all work has ended, at most so long."""
    began = time.monotonic()
    done: dict[str, float] = {}
    while len(done) < 4 and time.monotonic() - began < seconds:
        try:
            for name, holds in (await _state(sources)).items():
                if holds:
                    done.setdefault(name, round(time.monotonic() - began, 2))
                else:
                    done.pop(name, None)
        except (OSError, RedisError, asyncpg.PostgresError):
            done.clear()
        await asyncio.sleep(_POLL_SECONDS)
    names = ("sagas", "payments", "outbox", "notifications")
    return Settling(**{name: done.get(name) for name in names})


async def drained(sources: Sources, *, seconds: float) -> float | None:
    """Returns how long it took until the outbox was empty; None if it was not in time."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if not await _count(sources, "order", _UNPUBLISHED):
            return round(time.monotonic() - began, 2)
        await asyncio.sleep(_POLL_SECONDS)
    return None


async def sagas_ended(sources: Sources, *, seconds: float) -> float | None:
    """Returns how long the orders that are there now take to end; None if longer than `seconds`."""
    began = time.monotonic()
    last: datetime = await _fetch(sources, "order", "SELECT clock_timestamp()")
    while time.monotonic() - began < seconds:
        if not await _fetch(sources, "order", _BEGUN_BEFORE, last):
            return round(time.monotonic() - began, 2)
        await asyncio.sleep(_POLL_SECONDS)
    return None


async def _state(sources: Sources) -> dict[str, bool]:
    events = await _count(sources, "order", _EVENTS)
    return {
        "sagas": not await _count(sources, "order", _IN_FLIGHT),
        "payments": not await _count(sources, "payment", _UNKNOWN),
        "outbox": not await _count(sources, "order", _UNPUBLISHED),
        "notifications": await _count(sources, "notification", _TOLD) >= events
        and await _acknowledged(sources),
    }


async def _count(sources: Sources, service: str, query: str) -> int:
    return int(await _fetch(sources, service, query))


async def _fetch(sources: Sources, service: str, query: str, *arguments: object) -> Any:
    conn = await asyncpg.connect(sources.database(service), timeout=5)
    try:
        return await conn.fetchval(query, *arguments)
    finally:
        await conn.close()


async def _acknowledged(sources: Sources) -> bool:
    """Says whether the consumer group has read everything and acknowledged it."""
    async with Redis.from_url(sources.redis) as redis:
        if not await redis.exists(STREAM):
            return True
        last = (await redis.xinfo_stream(STREAM))["last-generated-id"]
        groups = await redis.xinfo_groups(STREAM)
    return any(
        each["name"] == GROUP.encode() and not each["pending"] and each["last-delivered-id"] == last
        for each in groups
    )
