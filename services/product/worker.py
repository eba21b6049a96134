"""Puts back expired reservations, and moves old ones out of their products' documents."""

import asyncio
from datetime import timedelta

import structlog

from services.mesh import backoff
from services.mesh.errors import DomainError
from services.product.stock_store import StockStore

_log = structlog.get_logger(__name__)


async def sweep(stock: StockStore, *, interval: timedelta) -> None:
    """Settle what is due, every `interval`, until cancelled; after a failure, with back-off."""
    waits = backoff.delays()
    while True:
        try:
            while await stock.sweep():
                pass
        except DomainError as error:
            _log.warning("sweep failed", reason=error.reason, error=error.message)
            await asyncio.sleep(next(waits))
        else:
            waits = backoff.delays()
            await asyncio.sleep(interval.total_seconds())
