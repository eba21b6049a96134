"""Processes that are started again the moment they die, and what can be done to them.

process = Process(program)
await process.start()                 # ready
process.kill()                        # SIGKILL; the next one starts at once
async with process.down(): ...        # killed, and not started again before the block ends
async with process.stopped(): ...     # SIGSTOP, then SIGCONT
await process.restart()               # SIGTERM, drained, started again, ready

Made from the same descriptions as `souk up` makes its children from.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from services.local import program as programs
from services.local.program import Program

_AGAIN_SECONDS = 0.1


class Process:
    """A program that is kept running.

    `deaths` counts how often it ended, `kills` how often we killed it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.name = program.name
        self.deaths = 0
        self.kills = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._allowed = asyncio.Event()
        self._allowed.set()

    @property
    def pid(self) -> int | None:
        """The process that runs now; None between two."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Starts it and returns when it is ready. Raises StartFailed."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        await self.ready()

    async def stop(self) -> None:
        """Ends it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        if self._process is not None:
            self._send(signal.SIGCONT)
            await programs.stop(self.program, self._process)

    async def ready(self, *, seconds: float = 60) -> None:
        """Returns when it answers its readiness check; raises TimeoutError."""
        fault: Exception | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        await self.program.check()
                    except Exception as error:  # noqa: BLE001 - it may fail in any way
                        fault = error
                    else:
                        return
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"{self.name} is not ready: {fault!r}") from fault

    def kill(self) -> bool:
        """Kills it with all its children; says whether there was anything to kill."""
        if self.pid is None:
            return False
        self.kills += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return True

    @contextlib.asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Kills it, and starts it again only at the end of the block."""
        self._allowed.clear()
        try:
            self.kill()
            yield
        finally:
            self._allowed.set()
        await self.ready()

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Stops it as it is; it goes on at the end of the block."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def resume(self) -> None:
        """Lets it go on if it was stopped."""
        self._send(signal.SIGCONT)

    async def restart(self) -> None:
        """Has it drain and end; returns when the next one is ready."""
        process = self._process
        self._send(signal.SIGTERM)
        if process is not None:
            await process.wait()
        await asyncio.sleep(_AGAIN_SECONDS)
        await self.ready()

    def _send(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _spawn(self) -> None:
        await self.program.prepare()
        self._process = await programs.spawn(self.program)

    async def _keep(self) -> None:
        """Starts it again whenever it has ended, unless it is to stay down."""
        while True:
            assert self._process
            await self._process.wait()
            self.deaths += 1
            await self._allowed.wait()
            # One that ends at once, for want of what it needs, must not be started in a busy loop.
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._spawn()
