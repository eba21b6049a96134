"""Goes on with the orders that nobody works on: those left unfinished, unanswered or overdue.

SagaWorker    takes them up
SagaWatch     tells how many there are, and which of them are stuck
"""

import asyncio
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import Gauge

from services.mesh import backoff, waiting
from services.mesh.errors import DomainError
from services.mesh.taking import take
from services.order.domain import IN_FLIGHT
from services.order.store import Figures, FigureStore, Lease, LeaseStore, OrderChanges
from services.order.workflow import Saga

_log = structlog.get_logger(__name__)

_IN_FLIGHT = Gauge("souk_sagas_in_flight", "Orders that the saga has not ended.", ["state"])
_OLDEST = Gauge(
    "souk_saga_oldest_seconds", "Age of the oldest order that the saga has not ended.", ["state"]
)
_STUCK = Gauge("souk_sagas_stuck", "Orders that should have ended by now; counted up to 1000.")

_MOST_STUCK = 1000
_MOST_NAMED = 10
_SHORTEST_SLEEP = timedelta(milliseconds=50)


class SagaWorker:
    """Works on up to `concurrency` orders at a time; `poll` is the longest it sleeps."""

    def __init__(
        self,
        *,
        leases: LeaseStore,
        changes: OrderChanges,
        saga: Saga,
        concurrency: int,
        poll: timedelta,
    ) -> None:
        self._leases = leases
        self._due = changes.due
        self._saga = saga
        self._concurrency = concurrency
        self._poll = poll
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Works until cancelled, through every outage of the database."""
        async with asyncio.TaskGroup() as tasks:
            take_up = partial(self._take_up, tasks)
            await backoff.repeat(take_up, despite=(DomainError,), name="saga worker")

    async def _take_up(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._due.clear()
            free = self._concurrency - len(self._running)
            leases = await self._acquire(free) if free else []
            for lease in leases:
                task = tasks.create_task(self._work(lease))
                self._running.add(task)
                task.add_done_callback(self._end)
            if len(leases) < free:
                await self._sleep(await self._leases.next_due_in())
            elif not free:
                await self._sleep(None)

    async def _acquire(self, limit: int) -> list[Lease]:
        return await take(self._leases.acquire_due(limit), give_back=self._release)

    async def _release(self, leases: list[Lease]) -> None:
        for lease in leases:
            await self._leases.release(lease)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._due.set()

    async def _work(self, lease: Lease) -> None:
        order_id = str(lease.order.order_id)
        try:
            await self._saga.run(lease)
        except DomainError as error:
            _log.warning("order left for later", order_id=order_id, error=error.message)
        except Exception:  # noqa: BLE001 - see below; cancellation goes through
            # An order that can't be worked on must not keep the others waiting. It is taken up
            # again when its lease runs out.
            _log.exception("order can't be worked on", order_id=order_id)

    async def _sleep(self, due_in: timedelta | None) -> None:
        """Wait until an order is due or may be, at most for a poll."""
        longest = self._poll if due_in is None else min(due_in, self._poll)
        await waiting.set_within(self._due, max(longest, _SHORTEST_SLEEP).total_seconds())


class SagaWatch:
    """Measures every `interval`; what is overdue for longer than `stuck_after` is logged too."""

    def __init__(
        self, figures: FigureStore, *, stuck_after: timedelta, interval: timedelta
    ) -> None:
        self._figures = figures
        self._stuck_after = stuck_after
        self._interval_seconds = interval.total_seconds()

    async def run(self) -> None:
        """Measures until cancelled, through every outage of the database."""
        await backoff.repeat(self._watch, despite=(DomainError,), name="saga watch")

    async def _watch(self) -> None:
        while True:
            await self._measure()
            await asyncio.sleep(self._interval_seconds)

    async def _measure(self) -> None:
        by_state = await self._figures.by_state()
        for state in IN_FLIGHT:
            figures = by_state.get(state, Figures())
            _IN_FLIGHT.labels(state).set(figures.count)
            _OLDEST.labels(state).set(figures.oldest_seconds)
        stuck = await self._figures.stuck(longer_than=self._stuck_after, most=_MOST_STUCK)
        _STUCK.set(len(stuck))
        if stuck:
            named = [str(order_id) for order_id in stuck[:_MOST_NAMED]]
            _log.error("orders are stuck", count=len(stuck), oldest=named)
