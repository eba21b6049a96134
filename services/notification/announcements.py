"""Listens live, over Pub/Sub, and sees to it that what was announced has also been delivered.

An event is announced and put into the stream by one command, so it comes by both. If it was
announced and not handled some time later, the stream has lost it: it was trimmed, or Redis came
back without its last writes. Then it is asked for again. What is announced while nobody listens is
left to the stream.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from google.protobuf import json_format
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.mesh import backoff, inbox
from services.mesh.database import Database
from services.mesh.errors import DomainError, RemoteError
from souk.mesh.v1.event_pb2 import Event

_log = structlog.get_logger(__name__)

_CHANNELS = "order.*"
_READ_SECONDS = 1  # shorter than the client's socket timeout


class Replay(Protocol):
    """Handles the events from a time on."""

    def __call__(self, *, since: datetime) -> Awaitable[None]:
        """Raises RemoteError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Announced:
    event_id: UUID
    occurred_at: datetime
    due: float
    """By the loop's clock: when it should have been handled."""


class Announcements:
    """What was announced and when it is due. `grace`: how long the stream may take to deliver."""

    def __init__(self, db: Database, redis: Redis, *, replay: Replay, grace: timedelta) -> None:
        self._db = db
        self._redis = redis
        self._replay = replay
        self._grace_seconds = grace.total_seconds()
        self._announced: deque[_Announced] = deque()

    async def run(self) -> None:
        """Listens until cancelled, through every outage of Redis and PostgreSQL."""
        despite = (RedisError, DomainError, RemoteError)
        await backoff.repeat(self._listen, despite=despite, name="announcements")

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.psubscribe(_CHANNELS)
            while True:
                message = await pubsub.get_message(timeout=_READ_SECONDS)
                if message is not None:
                    self._note(message["data"])
                await self._check()

    def _note(self, raw: bytes) -> None:
        try:
            event = json_format.Parse(raw, Event(), ignore_unknown_fields=True)
            event_id = UUID(event.event_id)
        except (json_format.ParseError, ValueError):
            # The same is in the stream, where it becomes a dead letter.
            return
        due = asyncio.get_running_loop().time() + self._grace_seconds
        occurred_at = event.occurred_at.ToDatetime(UTC)
        self._announced.append(_Announced(event_id=event_id, occurred_at=occurred_at, due=due))

    async def _check(self) -> None:
        """Asks again for what is due and was not handled."""
        now = asyncio.get_running_loop().time()
        due = {}
        while self._announced and self._announced[0].due <= now:
            each = self._announced.popleft()
            due[each.event_id] = each.occurred_at
        if not due:
            return
        async with self._db.connection() as conn:
            missing = await inbox.unhandled(conn, due.keys())
        if missing:
            _log.warning("events announced but not delivered", count=len(missing))
            await self._replay(since=min(due[event_id] for event_id in missing))
