"""What is done with one delivered event: handled once, or after five tries put aside.

| the handler …            | then                                                               |
|--------------------------|--------------------------------------------------------------------|
| returns                  | its effect and the inbox row commit together                       |
| raises Unavailable       | tried again until the database is back; it does not count as a try |
| raises Aborted           | the same: others are at work on the same data, or hold it locked   |
| raises anything else     | rolled back, tried again; the fifth time it becomes a dead letter  |
| ends the process         | counts as a try when the event is delivered again                  |

An entry that holds no event, or none that its publisher has committed, is a dead letter at once.

Entries that come together for the first time share one transaction, and with it one commit. If
anything fails in it nothing was done, that is no try, and each is handled by itself as above.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid5

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter

from services.mesh import backoff, failpoints, inbox, reaping
from services.mesh.database import Connection, Database
from services.mesh.errors import Aborted, Unavailable
from souk.mesh.v1.event_pb2 import Event

_log = structlog.get_logger(__name__)
_tracer = trace.get_tracer("services.mesh")

_EVENTS = Counter(
    "souk_events_consumed_total",
    "Events that were delivered, by what was done with them.",
    ["stream", "outcome"],
)

_ENTRIES = UUID("01a20912-6f3e-7c11-9d0a-5b4f1c2e8a77")
"""The name space (RFC 9562 section 5.5) of entries that hold no event."""

_ENDED = "the process ended while the event was handled"

T = TypeVar("T")

Handler = Callable[[Connection, Event], Awaitable[None]]
"""Handles an event on the connection of the transaction that records it as handled.

It touches nothing but the database: what must be sent elsewhere is written down and sent by a
worker. It is called again after any exception.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What an entry of a stream holds.

    `raw` is the event's proto-JSON. `event` is None if there is none, and `fault` says why.
    """

    entry_id: str
    raw: str
    event: Event | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An entry of a stream that could not be handled.

    `event` is None when the entry holds none; `raw` is what it held, the event's proto-JSON.
    `error` is for operators: the last failure, as "ExceptionType: message".
    """

    entry_id: str
    event: Event | None = None
    raw: str
    error: str
    tries: int = 1


DeadLetterHandler = Callable[[Connection, DeadLetter], Awaitable[None]]
"""Stores a dead letter, in the transaction that records its event as handled.

To redrive it, call the handler in a transaction; the inbox has let it pass for good.
"""


class EventHandling:
    """Handles the entries of one stream, each once, with `limit` tries."""

    def __init__(
        self,
        db: Database,
        *,
        stream: str,
        handler: Handler,
        dead_letter: DeadLetterHandler,
        limit: int,
    ) -> None:
        self._db = db
        self._stream = stream
        self._handler = handler
        self._dead_letter = dead_letter
        self._limit = limit

    async def handle(self, delivered: Delivered, *, delivered_before: bool) -> None:
        """Returns once the entry may be acknowledged: handled, now or before, or a dead letter.

        Waits while the database is unavailable or locked. Raises what storing a dead letter raises.
        """
        entry_id, raw, event = delivered.entry_id, delivered.raw, delivered.event
        if event is None:
            letter_id = uuid5(_ENTRIES, f"{self._stream} {entry_id}")
            letter = DeadLetter(entry_id=entry_id, raw=raw, error=delivered.fault)
            await self._bury(letter_id, letter)
            return
        event_id = UUID(event.event_id)
        error = await self._try(event_id, event, delivered_before=delivered_before)
        if error is not None:
            letter = DeadLetter(
                entry_id=entry_id, event=event, raw=raw, error=error, tries=self._limit
            )
            await self._bury(event_id, letter)

    async def handle_together(self, batch: Sequence[Delivered]) -> bool:
        """Handles entries that were not delivered before, and says whether it could.

        If not, nothing was done, and `handle` says of each what is wrong.
        """
        events = {UUID(each.event.event_id): each.event for each in batch if each.event}
        if len(batch) == 1 or not all(each.event for each in batch):
            return False
        try:
            new = await self._effects(events)
        except Exception as failure:  # noqa: BLE001 - each of them meets it again by itself
            _log.info("events are handled one by one", error=f"{type(failure).__name__}: {failure}")
            return False
        _EVENTS.labels(self._stream, "handled").inc(len(new))
        _EVENTS.labels(self._stream, "known").inc(len(batch) - len(new))
        return True

    async def forget_old(self) -> bool:
        """Forgets what the inbox need not know any more; returns whether all of that is gone."""
        async with self._db.connection() as conn:
            return await inbox.reap(conn) < reaping.AT_MOST

    async def _try(self, event_id: UUID, event: Event, *, delivered_before: bool) -> str | None:
        """Returns None once the event is handled, or the last error when no try is left."""
        error = _ENDED
        pauses = backoff.delays()
        number = await self._count(event_id) if delivered_before else 1
        while number <= self._limit:
            try:
                with _continued_trace(event):
                    effect = partial(self._effect, event_id, event, first_try=number == 1)
                    await _through_outages(effect)
            except Exception as failure:  # noqa: BLE001 - one event must not keep the next from coming
                error = f"{type(failure).__name__}: {failure}"
                _log.warning("event failed", event_id=event.event_id, type=event.type, error=error)
            else:
                return None
            number = await self._count(event_id)
            if number <= self._limit:
                await asyncio.sleep(next(pauses))
        return error

    async def _count(self, event_id: UUID) -> int:
        async def count() -> int:
            async with self._db.connection() as conn:
                return await inbox.count_try(conn, event_id)

        return await _through_outages(count)

    async def _effect(self, event_id: UUID, event: Event, *, first_try: bool) -> None:
        async with self._db.transaction() as conn:
            new = await inbox.record(conn, event_id)
            if new:
                await self._handler(conn, event)
            if not first_try:
                await inbox.forget_tries(conn, event_id)
            await failpoints.reach("consumer.before_commit")
        _EVENTS.labels(self._stream, "handled" if new else "known").inc()

    async def _effects(self, events: Mapping[UUID, Event]) -> set[UUID]:
        """Handles those of the events that are new, in their order; returns their ids."""
        async with self._db.transaction() as conn:
            new = await inbox.record_all(conn, events)
            for event_id, event in events.items():
                if event_id in new:
                    with _continued_trace(event):
                        await self._handler(conn, event)
            await failpoints.reach("consumer.before_commit")
        return new

    async def _bury(self, event_id: UUID, letter: DeadLetter) -> None:
        async def bury() -> None:
            async with self._db.transaction() as conn:
                if await inbox.record(conn, event_id):
                    await self._dead_letter(conn, letter)
                await inbox.forget_tries(conn, event_id)

        await _through_outages(bury)
        _EVENTS.labels(self._stream, "dead_letter").inc()
        _log.error("dead letter", stream=self._stream, entry=letter.entry_id, error=letter.error)


@contextmanager
def _continued_trace(event: Event) -> Iterator[None]:
    """Makes what runs in the block part of the trace of the call that caused the event."""
    carrier = {"traceparent": event.traceparent}
    parent = TraceContextTextMapPropagator().extract(carrier, context=Context())
    with _tracer.start_as_current_span(
        event.type,
        context=parent,
        kind=SpanKind.CONSUMER,
        # The text of an exception may hold what must not leave the process.
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield


async def _through_outages(work: Callable[[], Awaitable[T]]) -> T:
    """Returns the result of `work`, repeated as long as the database is unavailable or locked."""
    pauses = backoff.delays()
    while True:
        try:
            return await work()
        except (Unavailable, Aborted):
            await asyncio.sleep(next(pauses))
