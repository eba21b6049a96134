"""Runs programs as children: starts them in stages, restarts what crashes, stops all in reverse.

    async with Supervisor(console) as supervisor:
        await supervisor.start(postgres, redis)     # together; returns when both are ready
        await supervisor.start(order)               # the next stage
        await stop_requested.wait()
                                                    # order is gone, then postgres and redis

A child that cannot become ready on its first start fails the stage; one that exits later is
started again after a delay that doubles with each failure and returns to the shortest once the
child has stayed up for a while.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from services.local import program as programs
from services.local.console import Console
from services.local.program import Program, StartFailed

_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 15.0
_STEADY_SECONDS = 30.0
_LAST_OUTPUT_SECONDS = 1.0
_CHUNK_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 16 * 1024


class Supervisor:
    """Owns every child it starts, from `start` until the block ends."""

    def __init__(self, console: Console, *, pass_fds: tuple[int, ...] = ()) -> None:
        """`pass_fds` are file descriptors that children inherit, such as a lock."""
        self._console = console
        self._pass_fds = pass_fds
        self._stages: list[list[_Child]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        outcomes: list[BaseException | None] = []
        for stage in reversed(self._stages):
            stops = (child.stop() for child in stage)
            outcomes += await asyncio.gather(*stops, return_exceptions=True)
        _raise_first(outcomes)

    async def start(self, *stage: Program) -> None:
        """Starts the programs together and returns when each is ready.

        Raises StartFailed or OSError, the first there is; what has started by then goes on until
        the block ends.
        """
        children = [_Child(each, self._console, self._pass_fds) for each in stage]
        self._stages.append(children)
        failures: tuple[BaseException, ...] = ()
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(child.start(), name=f"start {child.name}")
        except* (StartFailed, OSError) as errors:
            failures = errors.exceptions
        _raise_first(failures)

    def kill(self) -> None:
        """Kills every child at once, for who cannot wait for an orderly end."""
        for pid in self.pids().values():
            os.kill(pid, signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """Returns the process id of each child that runs at this moment, by name."""
        return {
            child.name: child.pid
            for stage in self._stages
            for child in stage
            if child.pid is not None
        }


class _Child:
    """One program and the process that runs it now; a task of its own keeps it running."""

    def __init__(self, program: Program, console: Console, pass_fds: tuple[int, ...]) -> None:
        self._program = program
        self._console = console
        self._pass_fds = pass_fds
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self) -> None:
        begin = time.monotonic()
        await self._launch()
        self._console.done(self.name, time.monotonic() - begin)
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._end()
        if self._keeper and not self._keeper.cancelled():
            self._keeper.result()

    async def _launch(self) -> None:
        """Starts the process and returns when it is ready."""
        await self._program.prepare()
        self._process = await programs.spawn(
            self._program, output=asyncio.subprocess.PIPE, pass_fds=self._pass_fds
        )
        if self._process.stdout:
            self._pump = asyncio.create_task(
                _pump(self.name, self._process.stdout, self._console), name=f"log {self.name}"
            )
        await programs.wait_until_ready(self._program, self._process)

    async def _end(self) -> None:
        """Ends the process, if any, and writes the rest of what it said."""
        if self._process is None:
            return
        if not await programs.stop(self._program, self._process):
            self._console.warn(f"{self.name} did not stop in time and was killed")
        await self._finish_output()

    async def _finish_output(self) -> None:
        """Writes what is left in the pipe; a grandchild that holds it open is not waited for."""
        if self._pump:
            await asyncio.wait([self._pump], timeout=_LAST_OUTPUT_SECONDS)
            self._pump.cancel()

    async def _keep(self) -> None:
        """Starts the process again whenever it exits."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            assert self._process  # noqa: S101 - the first launch came before this task
            began = time.monotonic()
            code = await self._process.wait()
            await self._finish_output()
            if time.monotonic() - began >= _STEADY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            self._console.warn(f"{self.name} {_ended(code)}; again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            await self._relaunch()

    async def _relaunch(self) -> None:
        begin = time.monotonic()
        try:
            await self._launch()
        except (StartFailed, OSError) as error:
            self._console.warn(str(error))
            await self._end()
        else:
            self._console.done(self.name, time.monotonic() - begin, "again")


def _ended(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    known = -code in set(signal.Signals)
    return f"was ended by {signal.Signals(-code).name if known else f'signal {-code}'}"


async def _pump(name: str, output: asyncio.StreamReader, console: Console) -> None:
    """Writes the child's output line by line; an overlong line is cut into pieces."""
    rest = b""
    while chunk := await output.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            console.log(name, line.decode(errors="replace").rstrip())
    if rest:
        console.log(name, rest.decode(errors="replace"))


def _raise_first(outcomes: Sequence[BaseException | None]) -> None:
    for outcome in outcomes:
        if outcome is not None:
            raise outcome
