"""Events from another service's stream, delivered by a consumer group.

    at the start     what this consumer had begun and not acknowledged
    then in turn     what others began and left (XAUTOCLAIM), what is new (XREADGROUP)

    entries ──▶ confirmed by the publisher ──▶ inbox and effects in one transaction ──▶ XACK

Every failure of Redis ends in a fresh start, which finds what was not acknowledged. `Handler` and
`DeadLetterHandler` say what an event means; they are described in `services.mesh.event_handling`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.mesh import backoff, consumer_lag, event_entries, failpoints
from services.mesh.database import Database
from services.mesh.errors import DomainError, RemoteError
from services.mesh.event_entries import Confirm
from services.mesh.event_handling import (
    DeadLetter,
    DeadLetterHandler,
    Delivered,
    EventHandling,
    Handler,
)

__all__ = ["Confirm", "Consumer", "DeadLetter", "DeadLetterHandler", "Handler"]

_BATCH = 32
_BLOCK_MILLISECONDS = 2_000  # shorter than the client's socket timeout
_MEASURE_SECONDS = 5
_FORGOTTEN_MILLISECONDS = 3_600_000
_FORGET_SECONDS = 30

Entries = list[tuple[bytes, Mapping[bytes, bytes] | None]]


class Consumer:
    """One member of the consumer group `group` on `stream`, like "souk:events:order".

    `name` tells this process from the group's others; one that is kept over a restart, such as a
    host name, finds at once what it had begun. What another left is taken over after `abandoned`.
    `tries`: how often a handler may fail before the event becomes a dead letter.

    `confirm` asks the publisher for the events that entries claim to be
    (`services.mesh.event_entries`); without it entries are believed.

    `on_new_group` is awaited before the group is made: at the very first start, and when Redis has
    lost it. It can ask the publisher to publish again; when it raises a DomainError or RemoteError
    it is called again later.
    """

    def __init__(
        self,
        db: Database,
        redis: Redis,
        *,
        stream: str,
        group: str,
        name: str,
        handler: Handler,
        dead_letter: DeadLetterHandler,
        confirm: Confirm | None = None,
        on_new_group: Callable[[], Awaitable[None]] | None = None,
        tries: int = 5,
        abandoned: timedelta = timedelta(seconds=60),
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._group = group
        self._name = name
        self._confirm = confirm
        self._on_new_group = on_new_group
        self._abandoned = abandoned
        self._next_takeover = 0.0
        self._next_forgetting = 0.0
        self._next_measuring = 0.0
        self._handling = EventHandling(
            db, stream=stream, handler=handler, dead_letter=dead_letter, limit=tries
        )

    async def run(self) -> None:
        """Consumes until cancelled, through every outage of Redis and PostgreSQL."""
        despite = (RedisError, DomainError, RemoteError)
        await backoff.repeat(self._consume, despite=despite, name=f"consumer of {self._stream}")

    async def _consume(self) -> None:
        await self._ensure_group()
        while own := await self._read("0"):
            await self._handle(own, delivered_before=True)
        while True:
            await self._take_over()
            await self._forget_old()
            await self._measure()
            new = await self._read(">", block=_BLOCK_MILLISECONDS)
            await self._handle(new, delivered_before=False)

    async def _ensure_group(self) -> None:
        if await self._group_exists():
            return
        if self._on_new_group is not None:
            await self._on_new_group()
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            # Another member of the group was faster.
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _group_exists(self) -> bool:
        if not await self._redis.exists(self._stream):
            return False
        groups = await self._redis.xinfo_groups(self._stream)
        return any(each["name"] == self._group.encode() for each in groups)

    async def _read(self, start: str, block: int | None = None) -> Entries:
        """Returns entries: ">" gives new ones, "0" those this consumer has not acknowledged."""
        answer: Any = await self._redis.xreadgroup(
            self._group, self._name, {self._stream: start}, count=_BATCH, block=block
        )
        return answer[0][1] if answer else []

    async def _take_over(self) -> None:
        """Handles what others left, and forgets consumers that are gone with nothing left."""
        if time.monotonic() < self._next_takeover:
            return
        start = "0-0"
        idle = int(self._abandoned.total_seconds() * 1000)
        while True:
            start, entries, *_ = await self._redis.xautoclaim(
                self._stream, self._group, self._name, idle, start, count=_BATCH
            )
            await self._handle(entries, delivered_before=True)
            if start == b"0-0":
                break
        await self._forget_the_gone()
        self._next_takeover = time.monotonic() + self._abandoned.total_seconds() / 2

    async def _forget_the_gone(self) -> None:
        for each in await self._redis.xinfo_consumers(self._stream, self._group):
            if not each["pending"] and each["idle"] > _FORGOTTEN_MILLISECONDS:
                await self._redis.xgroup_delconsumer(self._stream, self._group, each["name"])

    async def _forget_old(self) -> None:
        """Keeps the inbox within its retention; a backlog goes part by part, between events."""
        if time.monotonic() < self._next_forgetting:
            return
        if await self._handling.forget_old():
            self._next_forgetting = time.monotonic() + _FORGET_SECONDS

    async def _handle(self, entries: Entries, *, delivered_before: bool) -> None:
        # Only the id is left of an entry that was removed while it was pending.
        whole = [(entry_id, fields) for entry_id, fields in entries if fields]
        batch = await event_entries.read(whole, self._confirm)
        if not batch or delivered_before or not await self._handling.handle_together(batch):
            for each in batch:
                await self._handling.handle(each, delivered_before=delivered_before)
                await self._acknowledge([each])
        else:
            await self._acknowledge(batch)
        for entry_id, fields in entries:
            if entry_id and not fields:
                await self._redis.xack(self._stream, self._group, entry_id)

    async def _acknowledge(self, handled: Sequence[Delivered]) -> None:
        await failpoints.reach("consumer.before_acknowledge")
        await self._redis.xack(self._stream, self._group, *[each.entry_id for each in handled])

    async def _measure(self) -> None:
        """Says every few seconds how far the group is behind."""
        if time.monotonic() < self._next_measuring:
            return
        await consumer_lag.measure(self._redis, self._stream, self._group)
        self._next_measuring = time.monotonic() + _MEASURE_SECONDS
