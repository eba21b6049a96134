"""The calls being served now, so that a drain can wait for the last `finally` of each.

grpc.aio's `stop(grace)` cancels what is left after the grace, but does not await it.
"""

import asyncio
from typing import Any

from services.mesh import waiting
from services.mesh.errors import Unavailable
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method


class Draining(Unavailable):
    """The process is about to end; another one, or the next one, goes on with the stream."""

    reason = "DRAINING"


class InFlight:
    """Knows how many calls are served, and which of them may stay open."""

    def __init__(self) -> None:
        self._count = 0
        self._is_settled = asyncio.Event()
        self._streams: set[asyncio.Task[Any]] = set()
        self._is_draining = False

    def __len__(self) -> int:
        """Return how many calls are being served."""
        return self._count

    def tracked(self, _method: Method, handler: Handler) -> Handler:
        """Count each call until its handler has wholly ended. Outermost of all interceptors."""

        async def handle(request: Any, context: Context) -> Any:
            self._count += 1
            try:
                return await handler(request, context)
            finally:
                self._count -= 1
                if not self._count:
                    self._is_settled.set()

        return handle

    def ended_by_drain(self, method: Method, handler: Handler) -> Handler:
        """Let a stream that may stay open end when the drain begins. Raises Draining."""
        if method.deadline is not None:
            return handler

        async def handle(request: Any, context: Context) -> Any:
            task = asyncio.current_task()
            if task is None or self._is_draining:
                raise Draining("the server is about to stop")
            self._streams.add(task)
            try:
                return await handler(request, context)
            except asyncio.CancelledError:
                # By the drain alone, or by the client or the server too?
                if self._ends(task):
                    raise Draining("the server is about to stop") from None
                raise
            finally:
                self._streams.discard(task)

        return handle

    def _ends(self, task: asyncio.Task[Any]) -> bool:
        return self._is_draining and task.uncancel() == 0

    def end_streams(self) -> None:
        """Begin the drain: end the streams that may stay open."""
        self._is_draining = True
        for task in self._streams:
            task.cancel()

    async def settled(self, seconds: float) -> bool:
        """Wait until no call is being served; returns False if that takes longer than `seconds`."""
        if self._count:
            self._is_settled.clear()
            await waiting.set_within(self._is_settled, seconds)
        return not self._count
