"""Several processes on one port: a parent that serves nothing, and keeps its workers running.

    parent   --starts, restarts, passes SIGTERM and SIGINT on-->   worker 0 .. worker N-1
    parent   <--says that it serves--   worker

The two hold a pair of sockets, which is the worker's standard input. A worker that finds its end
closed stops as if told to: whatever ends the parent, no worker is left behind. The kernel spreads
new connections over the workers, each of which has a socket of its own (SO_REUSEPORT).
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from services.mesh.backoff import delays

ENVIRONMENT: Final = "SOUK_WORKER"
"""The variable that tells a worker which one it is."""

_FIRST_PAUSE: Final = timedelta(milliseconds=500)
_LONGEST_PAUSE: Final = timedelta(seconds=30)
_STEADY_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


def is_supported() -> bool:
    """Says whether several sockets can listen on one port."""
    return hasattr(socket, "SO_REUSEPORT")


class Workers:
    """Runs `command` several times, until told to stop. Made in the parent."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = command
        self._count = count
        self._running: set[_Worker] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Runs the workers; returns their exit code, once all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        # What keeps the first one from serving would keep the others from it, too.
        first = await self._start(0)
        if not await first.serves():
            return await self._end(first)
        async with asyncio.TaskGroup() as keeping:
            kept = [keeping.create_task(self._keep(0, first))]
            kept += [keeping.create_task(self._keep(index)) for index in range(1, self._count)]
        return max(task.result() for task in kept)

    def _stop(self, number: int) -> None:
        self._stopping.set()
        for worker in self._running:
            worker.send(number)

    async def _start(self, index: int) -> "_Worker":
        ours, theirs = socket.socketpair()
        ours.settimeout(0.0)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=theirs.fileno(),
                env={**os.environ, ENVIRONMENT: str(index)},
                # Ctrl-C in a terminal reaches the parent alone, which passes it on, once.
                start_new_session=True,
            )
        worker = _Worker(process, ours)
        self._running.add(worker)
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        return worker

    async def _end(self, worker: "_Worker") -> int:
        code = await worker.ended()
        self._running.discard(worker)
        # Of one that a signal ended it is negative.
        return code if code >= 0 else 1

    async def _keep(self, index: int, worker: "_Worker | None" = None) -> int:
        """Starts a worker again whenever it ends, later each time, until told to stop."""
        pauses = delays(first=_FIRST_PAUSE, most=_LONGEST_PAUSE)
        while True:
            began = time.monotonic()
            code = await self._end(worker or await self._start(index))
            if self._stopping.is_set():
                return code
            worker = None
            if time.monotonic() - began > _STEADY_SECONDS:
                pauses = delays(first=_FIRST_PAUSE, most=_LONGEST_PAUSE)
            pause = next(pauses)
            _log.error("worker ended", worker=index, exit_code=code, restart_seconds=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return code


class _Worker:
    """A worker, as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process = process
        self._line = line

    async def serves(self) -> bool:
        """Waits until it says that it serves; false if it ends instead."""
        return await asyncio.get_running_loop().sock_recv(self._line, 1) != b""

    async def ended(self) -> int:
        """Waits until it has ended; gives its exit code."""
        code = await self._process.wait()
        self._line.close()
        return code

    def send(self, number: int) -> None:
        """Sends it a signal."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


class Parent:
    """The parent, as a worker sees it."""

    def __init__(self) -> None:
        self._line = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        self._line.settimeout(0.0)
        self._watching: asyncio.Task[None] | None = None

    def tell_serving(self) -> None:
        """Tells it that this worker serves, and stops when it is no more."""
        with contextlib.suppress(OSError):
            self._line.send(b".")
        self._watching = asyncio.get_running_loop().create_task(self._stop_with_it())

    async def _stop_with_it(self) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._line, 1)
        _log.error("the parent has ended")
        signal.raise_signal(signal.SIGTERM)

    def close(self) -> None:
        """Stops watching it."""
        if self._watching is not None:
            self._watching.cancel()
