"""The ledger for asyncio: SQLite blocks on the disk, so it runs in a thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from services.sandbox.ledger import Command, Ledger, Operation

T = TypeVar("T")


class LedgerThread:
    """`Ledger`, one call at a time. Made by `opened`.

    A call that is cancelled has its effect all the same, as with any provider.
    """

    def __init__(self, ledger: Ledger, thread: ThreadPoolExecutor) -> None:
        self._ledger = ledger
        self._thread = thread

    async def perform(self, command: Command, *, accepted: bool = True) -> tuple[Operation, bool]:
        """Does what `Ledger.perform` does."""
        return await self._run(lambda: self._ledger.perform(command, accepted=accepted))

    async def find(self, key: str) -> Operation | None:
        """Does what `Ledger.find` does."""
        return await self._run(lambda: self._ledger.find(key))

    async def operations(self) -> list[Operation]:
        """Does what `Ledger.operations` does."""
        return await self._run(self._ledger.operations)

    async def page(self, *, since: str, after: int, size: int) -> list[tuple[int, Operation]]:
        """Does what `Ledger.page` does."""
        return await self._run(lambda: self._ledger.page(since=since, after=after, size=size))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[LedgerThread]:
    """Opens the ledger at `path` and closes it at the end."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger") as thread:
        ledger = await loop.run_in_executor(thread, Ledger, path)
        try:
            yield LedgerThread(ledger, thread)
        finally:
            await loop.run_in_executor(thread, ledger.close)
