"""Resolves payments whose operation was not answered, and forgets old idempotency keys."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import structlog

from services.mesh.errors import DomainError
from services.mesh.idempotency import IdempotencyKeys
from services.payment.store import PaymentStore
from services.payment.workflow import Payments

_log = structlog.get_logger(__name__)

_BATCH = 8
_REAP_INTERVAL = timedelta(hours=1)


class Resolver:
    """Looks for unanswered operations every `interval`. Several processes may do so at once."""

    def __init__(self, *, store: PaymentStore, payments: Payments, interval: timedelta) -> None:
        self._store = store
        self._payments = payments
        self._interval = interval

    async def run(self) -> None:
        """Resolves payments until cancelled."""
        await _every(self._interval, self.resolve_due)

    async def resolve_due(self) -> None:
        """Resolves what is due now, some at a time. Raises DomainError when the database fails."""
        while due := await self._store.claim_due(_BATCH):
            async with asyncio.TaskGroup() as tasks:
                for payment_id in due:
                    tasks.create_task(self._resolve(payment_id))

    async def _resolve(self, payment_id: UUID) -> None:
        try:
            payment = await self._payments.resolve(payment_id)
        except DomainError as error:
            # It is due again later.
            _log.warning("payment unresolved", payment_id=str(payment_id), error=error.message)
        except Exception:  # noqa: BLE001 - a payment that fails must not keep the others waiting
            _log.exception("payment can't be resolved", payment_id=str(payment_id))
        else:
            _log.info("payment resolved", payment_id=str(payment_id), state=payment.state)


class Reaper:
    """Forgets idempotency keys that are older than they are kept."""

    def __init__(self, keys: IdempotencyKeys) -> None:
        self._keys = keys

    async def run(self) -> None:
        """Forgets keys until cancelled."""
        await _every(_REAP_INTERVAL, self._reap)

    async def _reap(self) -> None:
        _log.info("idempotency keys forgotten", count=await self._keys.reap())


async def _every(interval: timedelta, work: Callable[[], Awaitable[None]]) -> None:
    """Does `work` every `interval`, through outages of the database, until cancelled."""
    while True:
        try:
            await work()
        except DomainError as error:
            _log.warning("worker interrupted", error=error.message)
        await asyncio.sleep(interval.total_seconds())
