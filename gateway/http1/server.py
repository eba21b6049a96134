"""Listens, watches over time limits, and drains."""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from gateway.http1.connection import Connection
from gateway.http1.endpoint import Endpoint
from gateway.http1.limits import Limits
from gateway.transcoding.http import Handler

_BACKLOG: Final = 1024


class Server:
    """Serves one handler.

        async with Server(handler) as server:
            await server.listen(listening)
            ..
            await server.drain(grace_seconds)

    What still runs when the block is left is aborted.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        fixed: bytes = b"",
        client_of: Callable[[str], str] = str,
    ) -> None:
        """`fixed` are whole lines that each answer's header has.

        `client_of` names whom an address's connections are counted for, empty for nobody.
        """
        self._endpoint = Endpoint(handler, limits or Limits(), fixed, client_of)
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._sweep()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drain(0.0)
        if self._timer is not None:
            self._timer.cancel()

    async def listen(self, listening: socket.socket) -> None:
        """Accepts connections on a socket, which is closed with the server."""
        loop = asyncio.get_running_loop()
        self._listeners.append(
            await loop.create_server(
                lambda: Connection(self._endpoint), sock=listening, backlog=_BACKLOG
            )
        )

    async def drain(self, grace_seconds: float) -> None:
        """Takes no more connections, answers what is under way, and ends the rest by force."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        await self._endpoint.drain(grace_seconds)

    def _sweep(self) -> None:
        # One timer for all: a timer for each request would cost more than the rest of its limits.
        self._endpoint.sweep()
        self._timer = asyncio.get_running_loop().call_later(
            self._endpoint.limits.sweep_seconds, self._sweep
        )
