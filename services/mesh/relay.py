"""Publishes the outbox: one relay of all replicas at a time, chosen by an advisory lock.

    wait for the lock ──▶ publish until nothing is left ──▶ wait for NOTIFY or the poll ──┐
                                   ▲                                                      │
                                   └──────────────────────────────────────────────────────┘
    Redis or PostgreSQL fails: the connection and with it the lock is given back; back-off

The lock is the session's, so it ends with a relay that died, and another takes over within a poll.
A relay that is cut off, or hangs, leaves its session open: PostgreSQL ends one that is idle for the
time of `silence`, where TCP alone would keep it for hours. Two that both believe to hold the lock
publish an event twice, which consumers must expect anyway.

Redis may lose what it holds: the last second of a killed one (`appendfsync everysec`), all since a
snapshot, or everything. So the relay remembers, with the mark, the last entry it wrote. A stream
that ends before that entry has lost some: what was published since its end is published again, at
most what the stream should still hold. The end is looked at in the very MULTI that adds to it, so
that no loss hides behind newer entries.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog
from google.protobuf import json_format
from prometheus_client import Counter, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.mesh import backoff, entry_id, failpoints, outbox, reaping, stream_trim, waiting
from services.mesh.database import Connection, Database, is_lost
from services.mesh.entry_id import EntryId
from services.mesh.errors import DomainError, Unavailable

_log = structlog.get_logger(__name__)

_UNPUBLISHED = Gauge(
    "souk_outbox_unpublished_events",
    "Events committed and not yet published; counted up to 10,000.",
    ["stream"],
)
_LAG = Gauge(
    "souk_outbox_lag_seconds", "Age of the oldest event that is not yet published.", ["stream"]
)

_LOST = Counter(
    "souk_outbox_lost_events_total",
    "Events published again since the stream lost them.",
    ["stream"],
)

Entries = Sequence[tuple[bytes, Mapping[bytes, bytes]]]

_BATCH = 100
_MOST_COUNTED = 10_000
_CLOCKS_DIFFER = timedelta(minutes=10)  # at most, those of PostgreSQL and Redis
_HOUSEKEEPING_SECONDS = 60

# The pool takes it back with the connection.
_BOUND_SILENCE = "SELECT set_config('idle_session_timeout', $1, false)"

_ELECT = "SELECT pg_try_advisory_lock(hashtext('outbox'))"

_UNPUBLISHED_EVENTS = """
    SELECT event_id, type, aggregate_id, sequence, occurred_at, traceparent, payload
    FROM outbox
    WHERE published_at IS NULL
    ORDER BY position
    LIMIT $1
"""

_MARK = """
    WITH marked AS (
        UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = ANY($1)
    )
    INSERT INTO outbox_streams (stream, last_entry) VALUES ($2, $3)
    ON CONFLICT (stream) DO UPDATE SET last_entry = excluded.last_entry
"""

_LAST_ENTRY = "SELECT last_entry FROM outbox_streams WHERE stream = $1"

_LOST_SINCE = """
    SELECT greatest(
        clock_timestamp() - $1::interval, to_timestamp($2::float8 / 1000) - $3::interval
    )
"""

_UNMARK_LOST = """
    UPDATE outbox
    SET published_at = NULL
    WHERE position IN (SELECT position FROM outbox WHERE published_at > $1 LIMIT $2)
    RETURNING true
"""

_REMEMBER = "UPDATE outbox_streams SET last_entry = $2 WHERE stream = $1"

# Of a backlog of millions, counting all of it would take longer than a statement may.
_MEASURE = """
    SELECT count(*) AS unpublished,
        coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)::float8 AS lag
    FROM (
        SELECT occurred_at FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT $1
    ) AS oldest
"""


class _Outgoing(NamedTuple):
    """An event, and as which text it travels."""

    event_id: UUID
    type: str
    text: str


class Relay:
    """Publishes what is unpublished in the outbox of `db` to `stream`, like "souk:events:order".

    `redis` must not repeat commands by itself (`redis_client.connect`). `poll`: how long a missed
    notification, or a lost relay, can go unnoticed. `silence`: how long a relay may say nothing to
    PostgreSQL, longer than Redis may take. `keep_entries`: how long entries stay in the stream at
    least; `keep_events`: how long published events can be replayed from the outbox.
    """

    def __init__(
        self,
        db: Database,
        redis: Redis,
        *,
        stream: str,
        poll: timedelta = timedelta(seconds=1),
        silence: timedelta = timedelta(seconds=30),
        keep_entries: timedelta = timedelta(days=1),
        keep_events: timedelta = timedelta(days=30),
    ) -> None:
        self._db = db
        self._redis = redis
        self._stream = stream
        self._poll_seconds = poll.total_seconds()
        self._silence = silence
        self._keep_entries = keep_entries
        self._keep_events = keep_events
        self._last_entry = entry_id.FIRST
        self._next_housekeeping = 0.0

    async def run(self) -> None:
        """Publishes until cancelled, through every outage of Redis and PostgreSQL."""
        await backoff.repeat(self._relay, despite=(DomainError, RedisError), name="outbox relay")

    async def _relay(self) -> None:
        async with self._db.connection() as conn, _notifications(conn) as notified:
            milliseconds = self._silence // timedelta(milliseconds=1)
            await conn.execute(_BOUND_SILENCE, str(milliseconds))
            await self._wait_for_the_lock(conn)
            self._last_entry = await self._remembered_entry(conn)
            while True:
                notified.clear()
                # Before Redis is needed, so that the figures rise while it is away.
                await self._measure(conn)
                end: Any = await self._redis.xrevrange(self._stream, count=1)
                await self._make_up_for_loss(conn, end)
                if await self._publish_all(conn):
                    await self._measure(conn)
                await self._keep_house(conn)
                await waiting.set_within(notified, self._poll_seconds)

    async def _wait_for_the_lock(self, conn: Connection) -> None:
        while not await conn.fetchval(_ELECT):
            await self._measure(conn)
            await asyncio.sleep(self._poll_seconds)
        _log.info("publishing the outbox", stream=self._stream)

    async def _publish_all(self, conn: Connection) -> bool:
        """Publishes until nothing is left; returns whether there was anything."""
        any_published = False
        while rows := await conn.fetch(_UNPUBLISHED_EVENTS, _BATCH):
            events = _known(rows)
            await failpoints.reach("outbox.before_publish")
            end_before, last = await self._publish(events)
            await failpoints.reach("outbox.before_mark")
            await self._make_up_for_loss(conn, end_before)
            await conn.execute(_MARK, [each.event_id for each in events], self._stream, str(last))
            self._last_entry = last
            any_published = True
        return any_published

    async def _publish(self, events: Sequence[_Outgoing]) -> tuple[Entries, EntryId]:
        """Publishes events; returns what the stream's last entry was, and what it is now."""
        async with self._redis.pipeline(transaction=True) as multi:
            _ = multi.xrevrange(self._stream, count=1)
            for each in events:
                # In a pipeline these only queue the command.
                _ = multi.xadd(self._stream, {"event": each.text})
                _ = multi.publish(each.type, each.text)
            end_before, *answers = await multi.execute()
        return end_before, EntryId.parse(answers[-2])

    async def _remembered_entry(self, conn: Connection) -> EntryId:
        text = await conn.fetchval(_LAST_ENTRY, self._stream)
        return EntryId.parse(text) if text else entry_id.FIRST

    async def _make_up_for_loss(self, conn: Connection, end: Entries) -> None:
        """Has lost events published again if the stream ends, by `end`, before what was written."""
        found = EntryId.parse(end[0][0]) if end else entry_id.FIRST
        if found >= self._last_entry:
            return
        _log.warning("the stream has lost entries", stream=self._stream, ends_at=str(found))
        since = await conn.fetchval(
            _LOST_SINCE, self._keep_entries, found.milliseconds, _CLOCKS_DIFFER
        )
        # In parts, each well within the statement's time; remembered last, lest it stop in between.
        while lost := await conn.fetch(_UNMARK_LOST, since, reaping.AT_MOST):
            _LOST.labels(self._stream).inc(len(lost))
        await conn.execute(_REMEMBER, self._stream, str(found))
        self._last_entry = found

    async def _measure(self, conn: Connection) -> None:
        row = await conn.fetchrow(_MEASURE, _MOST_COUNTED)
        if row is not None:
            _UNPUBLISHED.labels(self._stream).set(row["unpublished"])
            _LAG.labels(self._stream).set(row["lag"])

    async def _keep_house(self, conn: Connection) -> None:
        if time.monotonic() < self._next_housekeeping:
            return
        await stream_trim.trim(self._redis, self._stream, keep=self._keep_entries)
        # What is left of a backlog goes after the next events.
        if await outbox.reap(conn, keep=self._keep_events) < reaping.AT_MOST:
            self._next_housekeeping = time.monotonic() + _HOUSEKEEPING_SECONDS


def _known(rows: Sequence[asyncpg.Record]) -> list[_Outgoing]:
    """Returns the events before the first whose payload this release does not know, or all.

    Raises Unavailable if that is the first: a later release's relay may know it, and gets the lock.
    """
    events: list[_Outgoing] = []
    for row in rows:
        try:
            text = json_format.MessageToJson(outbox.event_from_row(row), indent=None)
        except TypeError as error:
            if not events:
                raise Unavailable(f"the event {row['event_id']} can't be told: {error}") from error
            break
        events.append(_Outgoing(event_id=row["event_id"], type=row["type"], text=text))
    return events


@contextlib.asynccontextmanager
async def _notifications(conn: Connection) -> AsyncIterator[asyncio.Event]:
    """Yields what is set when an event is committed, and when the connection is lost."""
    notified = asyncio.Event()

    def wake(*_: object) -> None:
        notified.set()

    await conn.add_listener(outbox.CHANNEL, wake)
    conn.add_termination_listener(wake)
    try:
        yield notified
    finally:
        if not is_lost(conn):
            conn.remove_termination_listener(wake)
            await conn.remove_listener(outbox.CHANNEL, wake)
