"""Waiting until nothing is left to do, and how long that took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.books import GROUP, STREAM
from tests.chaos.sources import Sources

_POLL_SECONDS = 0.1
_NOT_READY = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    RedisError,
    OSError,
)

_IN_FLIGHT = "SELECT count(*) FROM orders WHERE next_attempt_at IS NOT NULL"
_BEGUN_BEFORE = _IN_FLIGHT + " AND create_time < $1"
_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
_COMMITTED_UNTIL = "SELECT coalesce(max(position), 0) FROM outbox"
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
    names = [field.name for field in fields(Settling)]
    while len(done) < len(names) and time.monotonic() - began < seconds:
        try:
            state = await _state(sources)
        except _NOT_READY:
            state = {}
        for name in names:
            if state.get(name):
                done.setdefault(name, round(time.monotonic() - began, 2))
            else:
                done.pop(name, None)
        await asyncio.sleep(_POLL_SECONDS)
    return Settling(**{name: done.get(name) for name in names})


async def drained(sources: Sources, *, seconds: float) -> float | None:
    """Returns how long until the events committed by now are published; None if not in time.

    Orders go on meanwhile, so that there is always some event that was committed just now.
    """
    last: int | None = None

    async def are_published() -> bool:
        nonlocal last
        last = last if last is not None else await _fetch(sources, "order", _COMMITTED_UNTIL)
        return not await _fetch(sources, "order", _UNPUBLISHED + " AND position <= $1", last)

    return await _until(are_published, seconds=seconds)


async def sagas_ended(sources: Sources, *, seconds: float) -> float | None:
    """Returns how long the orders that are there now take to end; None if longer than `seconds`."""
    last: datetime | None = None

    async def have_ended() -> bool:
        nonlocal last
        last = last or await _fetch(sources, "order", "SELECT clock_timestamp()")
        return not await _fetch(sources, "order", _BEGUN_BEFORE, last)

    return await _until(have_ended, seconds=seconds)


async def _until(holds: Callable[[], Awaitable[bool]], *, seconds: float) -> float | None:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with suppress(*_NOT_READY):
            if await holds():
                return round(time.monotonic() - began, 2)
        await asyncio.sleep(_POLL_SECONDS)
    return None


async def _state(sources: Sources) -> dict[str, bool]:
    events = await _fetch(sources, "order", _EVENTS)
    return {
        "sagas": not await _fetch(sources, "order", _IN_FLIGHT),
        "payments": not await _fetch(sources, "payment", _UNKNOWN),
        "outbox": not await _fetch(sources, "order", _UNPUBLISHED),
        "notifications": await _fetch(sources, "notification", _TOLD) >= events
        and await _acknowledged(sources),
    }


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
