"""Resolves payments whose operation was not answered."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from services.mesh import backoff
from services.mesh.errors import DomainError
from services.payment.store import PaymentStore
from services.payment.workflow import Payments

_log = structlog.get_logger(__name__)

_BATCH = 8


class Resolver:
    """Looks for unanswered operations every `interval`. Several processes may do so at once."""

    def __init__(self, *, store: PaymentStore, payments: Payments, interval: timedelta) -> None:
        self._store = store
        self._payments = payments
        self._interval = interval

    async def run(self) -> None:
        """Resolves payments until cancelled, through every outage of the database."""
        await backoff.repeat(self._resolve_due, despite=(DomainError,), name="resolver")

    async def _resolve_due(self) -> None:
        while True:
            while due := await self._store.claim_due(_BATCH):
                async with asyncio.TaskGroup() as tasks:
                    for payment_id in due:
                        tasks.create_task(self._resolve(payment_id))
            await asyncio.sleep(self._interval.total_seconds())

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
