"""Serves HTTP/1.1 with uvicorn, within limits uvicorn itself does not have.

uvicorn with httptools parses and frames; llhttp behind it refuses what smuggles requests (both
Content-Length and Transfer-Encoding, malformed lines). Here stand the limits on the size of the
request line and the header, on the time a header may take, and the reaction to a client that
goes away: the work done for it is cancelled.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uuid_utils
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_URL_BYTES: Final = 8 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_DISCARDED_BYTES: Final = 4 * 1024 * 1024
HEADER_SECONDS: Final = 10.0
"""How long a request's header may take to arrive, from its first byte."""
KEEP_ALIVE_SECONDS: Final = 75

_TASK: Final = "gateway.task"
_VERSIONS: Final = ("1.0", "1.1")


class LimitedProtocol(HttpToolsProtocol):
    """A connection."""

    _seen_bytes = 0
    _discarded_bytes = 0
    _header_timer: asyncio.TimerHandle | None = None
    _refused = False

    def on_message_begin(self) -> None:
        """Starts the clock of a request's header."""
        super().on_message_begin()
        self._seen_bytes = 0
        self._discarded_bytes = 0
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._header_late)

    def on_url(self, url: bytes) -> None:
        """Takes a piece of the request target."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refuse(414, 3, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header field."""
        super().on_header(name, value)
        self._seen_bytes += len(name) + len(value)
        if self._seen_bytes > MAX_HEADER_BYTES:
            self._refuse(431, 3, "the header is too large")

    def on_headers_complete(self) -> None:
        """Starts to answer the request."""
        self._stop_clock()
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        # RFC 9112 section 3.2: a request of HTTP/1.1 has one Host.
        if version not in _VERSIONS or hosts > 1 or (version == "1.1" and hosts == 0):
            self._refuse(400, 3, "the request is malformed")
        if not self._refused:
            super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        if self._refused:
            return
        super().data_received(data)

    def on_body(self, body: bytes) -> None:
        """Takes a piece of a body.

        What comes after the answer is thrown away, so that the client gets to read the answer: a
        connection closed before would be reset. A client that does not stop is cut off.
        """
        if self._refused:
            return
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        """Ends a request."""
        if not self._refused:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels what is done for a client that has gone."""
        self._stop_clock()
        super().connection_lost(exc)
        cycle: Any = self.cycle
        task = None if cycle is None or cycle.response_complete else cycle.scope.get(_TASK)
        if task is not None:
            task.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is not HTTP."""
        self._refuse(400, 3, "the request is malformed", cause=msg)

    def _header_late(self) -> None:
        self._refuse(408, 4, "the request did not arrive in time")

    def _refuse(self, http_status: int, code: int, message: str, cause: str = "") -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._stop_clock()
        self.logger.debug("refused: %s %s", message, cause)
        body = json.dumps({"code": code, "message": message, "details": []}).encode()
        self.transport.write(
            b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\nconnection: close\r\n\r\n%b"
            % (http_status, len(body), str(uuid_utils.uuid7()).encode(), body)
        )
        self.transport.close()

    def _stop_clock(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def cancellable(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Lets the connection cancel the task that answers, and takes that as an end, not an error."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        scope[_TASK] = asyncio.current_task()
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            # Cancelled by the connection, which is gone: there is no one to tell.
            return
        finally:
            scope.pop(_TASK, None)

    return serve


def server(app: Any, *, drain_seconds: float) -> uvicorn.Server:
    """Makes a server that listens on sockets handed to its `serve`, and handles no signals."""
    config = uvicorn.Config(
        cancellable(app),
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    return uvicorn.Server(config)
