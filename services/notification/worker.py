"""Sends what is to be sent, and tells what is left.

DeliveryWorker  sends
BacklogWatch    measures what was not sent, and what could not be handled
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import Gauge

from services.mesh import backoff, waiting
from services.mesh.errors import DomainError
from services.notification.channels import NotSent, Sender
from services.notification.domain import Channel, Dispatch
from services.notification.store import DeadLetterStore, DeliveryStore, Feed

_log = structlog.get_logger(__name__)

_PENDING = Gauge("souk_deliveries_pending", "Deliveries of notifications that are to be made.")
_PENDING_SECONDS = Gauge("souk_deliveries_pending_seconds", "Age of the oldest of them.")
_DEAD_LETTERS = Gauge(
    "souk_dead_letters", "Events that could not be handled and were not redriven."
)

_CONCURRENCY = 16
_MEASURE_SECONDS = 10


class DeliveryWorker:
    """Sends by `senders`, some at a time, so that a slow one does not keep the others waiting.

    `poll` is the longest it sleeps.
    """

    def __init__(
        self,
        *,
        deliveries: DeliveryStore,
        senders: Mapping[Channel, Sender],
        feed: Feed,
        poll: timedelta,
    ) -> None:
        self._deliveries = deliveries
        self._senders = senders
        self._due = feed.due
        self._poll_seconds = poll.total_seconds()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until cancelled, through every outage of the database."""
        async with asyncio.TaskGroup() as tasks:
            take_up = partial(self._take_up, tasks)
            await backoff.repeat(take_up, despite=(DomainError,), name="delivery worker")

    async def _take_up(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._due.clear()
            free = _CONCURRENCY - len(self._running)
            dispatches = await self._deliveries.claim_due(free) if free else []
            for dispatch in dispatches:
                task = tasks.create_task(self._deliver(dispatch))
                self._running.add(task)
                task.add_done_callback(self._end)
            if not dispatches:
                await waiting.set_within(self._due, self._poll_seconds)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._due.set()

    async def _deliver(self, dispatch: Dispatch) -> None:
        fault = await self._send(dispatch)
        try:
            if fault is None:
                await self._deliveries.sent(dispatch)
            else:
                await self._deliveries.not_sent(dispatch, fault)
        except DomainError as error:
            # It is sent again when the lease ends, with the same id.
            _log.warning("outcome of sending lost", error=error.message, **_told(dispatch))

    async def _send(self, dispatch: Dispatch) -> str | None:
        """Returns what went wrong; None if the channel took it."""
        sender = self._senders.get(dispatch.channel)
        if sender is None:
            return "the channel is not configured"
        try:
            await sender.send(dispatch)
        except NotSent as error:
            _log.warning("not sent", error=str(error), **_told(dispatch))
            return str(error)
        except Exception as error:  # noqa: BLE001 - one that fails must not keep the others waiting
            _log.exception("sending failed", **_told(dispatch))
            return type(error).__name__
        return None


class BacklogWatch:
    """Measures every few seconds."""

    def __init__(self, *, deliveries: DeliveryStore, dead_letters: DeadLetterStore) -> None:
        self._deliveries = deliveries
        self._dead_letters = dead_letters

    async def run(self) -> None:
        """Measures until cancelled, through every outage of the database."""
        await backoff.repeat(self._watch, despite=(DomainError,), name="backlog watch")

    async def _watch(self) -> None:
        while True:
            count, seconds = await self._deliveries.pending()
            _PENDING.set(count)
            _PENDING_SECONDS.set(seconds)
            _DEAD_LETTERS.set(await self._dead_letters.open_count())
            await asyncio.sleep(_MEASURE_SECONDS)


def _told(dispatch: Dispatch) -> dict[str, object]:
    return {
        "notification_id": str(dispatch.notification_id),
        "channel": dispatch.channel,
        "attempt": dispatch.attempt,
    }
