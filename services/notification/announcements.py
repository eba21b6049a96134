"""Listens live, over Pub/Sub, and sees to it that what was announced has also been delivered.

An event is announced and put into the stream by one command, so it comes by both. If it was
announced and not handled some time later, the stream has lost it: it was trimmed, or Redis came
back without its last writes. Then the order service is asked for it; what an announcement says is
believed no further. What is announced while nobody listens is left to the stream.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import structlog
from google.protobuf import json_format
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.mesh import backoff, inbox, subscription
from services.mesh.database import Database
from services.mesh.errors import DomainError, RemoteError
from souk.mesh.v1.event_pb2 import Event

_log = structlog.get_logger(__name__)

_CHANNELS = "order.*"
_BATCH = 100
_MOST = 10_000  # more are the stream's alone to deliver

AskFor = Callable[[Collection[UUID]], Awaitable[None]]
"""Handles the events with these ids, up to 100, that there are. Raises RemoteError."""


class Announcements:
    """What was announced and when it is due. `grace`: how long the stream may take to deliver."""

    def __init__(self, db: Database, redis: Redis, *, ask_for: AskFor, grace: timedelta) -> None:
        self._db = db
        self._redis = redis
        self._ask_for = ask_for
        self._grace_seconds = grace.total_seconds()
        self._announced: deque[tuple[UUID, float]] = deque(maxlen=_MOST)
        """Events, and when they should have been handled by the loop's clock."""

    async def run(self) -> None:
        """Listens until cancelled, through every outage of Redis and PostgreSQL."""
        despite = (RedisError, DomainError, RemoteError)
        await backoff.repeat(self._listen, despite=despite, name="announcements")

    async def _listen(self) -> None:
        async with aclosing(subscription.messages(self._redis, _CHANNELS)) as messages:
            async for raw in messages:
                if raw is not None:
                    self._note(raw)
                await self._check()

    def _note(self, raw: bytes) -> None:
        try:
            event = json_format.Parse(raw, Event(), ignore_unknown_fields=True)
            event_id = UUID(event.event_id)
        except (json_format.ParseError, ValueError):
            # The same is in the stream, where it becomes a dead letter.
            return
        due = asyncio.get_running_loop().time() + self._grace_seconds
        self._announced.append((event_id, due))

    async def _check(self) -> None:
        """Asks for what is due and was not handled."""
        due = self._due()
        if not due:
            return
        async with self._db.connection() as conn:
            missing = await inbox.unhandled(conn, due)
        if missing:
            _log.warning("events announced but not delivered", count=len(missing))
            await self._ask_for(missing)

    def _due(self) -> set[UUID]:
        """Takes up to a batch of events out that should have been handled by now."""
        now = asyncio.get_running_loop().time()
        due: set[UUID] = set()
        while self._announced and self._announced[0][1] <= now and len(due) < _BATCH:
            due.add(self._announced.popleft()[0])
        return due
