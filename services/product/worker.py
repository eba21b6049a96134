"""Puts back expired reservations, and moves old ones out of their products' documents."""

import asyncio
from datetime import timedelta

from services.mesh import backoff
from services.mesh.errors import DomainError
from services.product.stock_store import StockStore


class Sweeper:
    """Settles what is due every `interval`."""

    def __init__(self, stock: StockStore, *, interval: timedelta) -> None:
        self._stock = stock
        self._interval_seconds = interval.total_seconds()

    async def run(self) -> None:
        """Settles until cancelled, through every outage of the database."""
        await backoff.repeat(self._sweep, despite=(DomainError,), name="sweep of reservations")

    async def _sweep(self) -> None:
        while True:
            while await self._stock.sweep():
                pass
            await asyncio.sleep(self._interval_seconds)
