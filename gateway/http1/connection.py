"""One connection: its requests in order, one under way at a time.

What a client sends ahead waits until the present answer is written: so answers keep their order
without being held, and so do effects (RFC 9112 section 9.3.2).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from gateway.http1 import refusal, request_body
from gateway.http1.answering import Answering
from gateway.http1.endpoint import Endpoint
from gateway.http1.phase import Phase
from gateway.http1.refusal import Refusal
from gateway.http1.request_body import RequestBody
from gateway.http1.request_reader import RequestReader
from gateway.http1.request_target import ASTERISK
from gateway.transcoding.http import Chunks, ClientGone, HttpRequest, HttpResponse
from gateway.transcoding.outcome import outcome

# Global names, since they are looked up for every request.
_IDLE: Final = Phase.IDLE
_HEADER: Final = Phase.HEADER
_BUSY: Final = Phase.BUSY
_DISCARDING: Final = Phase.DISCARDING
_LINGERING: Final = Phase.LINGERING

# Connections above the limit that are told so at once; others just end.
_MOST_REFUSED: Final = 100


class Connection(Answering):
    """The protocol of a connection."""

    __slots__ = ("_is_paused", "_peer")

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._is_paused = False
        self._peer = ""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or refuses it."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        # Of IP an address and a port first; of other kinds nothing that tells clients apart.
        self._peer = name[0] if isinstance(name, tuple) else ""
        if self._endpoint.enter(self, self._peer):
            return
        if len(self._endpoint.refused) > _MOST_REFUSED:
            self.abort()
        else:
            self._refuse(refusal.too_many_connections())

    def data_received(self, data: bytes) -> None:
        """Takes bytes: of a head, of a body, or sent ahead."""
        if self._phase is _LINGERING:
            self._discard(len(data))
            return
        self._reader.feed(data)
        if self._phase is _IDLE or self._phase is _HEADER:
            self._serve()
        elif self._reader.is_complete:
            self._hold_back()
        else:
            self._read_body()

    def eof_received(self) -> None:
        """Takes a client's end for its leave; the transport closes."""
        self._abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels what is done for a client that has gone."""
        del exc
        self._enter(_LINGERING)
        self._abandon()
        self._reader.close()
        self._endpoint.leave(self)

    def resume_writing(self) -> None:
        """Goes on with what was sent ahead."""
        super().resume_writing()
        self._serve()

    # What the endpoint calls.

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        limits = self._endpoint.limits
        waited = now - self._since
        if self.is_stalled(now):
            self.reset()
        elif self._phase is _IDLE:
            if waited > limits.idle_seconds:
                self._transport.close()
        elif self._phase is _HEADER:
            if waited > limits.header_seconds:
                self._refuse(refusal.too_slow())
        elif self._phase is _BUSY:
            if self._body is not None and self._body.waited_seconds(now) > limits.body_seconds:
                self._refuse(refusal.too_slow())
        elif waited > limits.linger_seconds:
            self.abort()

    def abort(self) -> None:
        """Ends the connection at once; an answer that has not arrived in full does not look so."""
        if self._phase is _LINGERING:
            super().abort()
        else:
            self.reset()

    def drain(self) -> None:
        """Makes the answer under way the last one."""
        self._is_last = True
        if self._phase is _IDLE:
            self._transport.close()

    # A request.

    def _serve(self) -> None:
        """Answers what has arrived, as far as the client reads the answers."""
        reader = self._reader
        try:
            while (self._phase is _IDLE or self._phase is _HEADER) and self._writable is None:
                if reader.read_head():
                    self._begin(reader)
                else:
                    self._await_head()
                    return
        except Refusal as refused:
            self._refuse(refused)

    def _await_head(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        if self._phase is _IDLE and self._reader.buffered_bytes:
            self._enter(_HEADER)

    def _begin(self, reader: RequestReader) -> None:
        self._phase = _BUSY
        body: bytes | None = b""
        chunks: Callable[[], Chunks] = request_body.nothing
        if not reader.is_complete:
            body, chunks = self._begin_body(reader)
        if reader.path == ASTERISK:
            # RFC 9110 section 9.3.7: of the server as a whole there is nothing to tell.
            self._respond(HttpResponse(status=204))
            return
        request = HttpRequest(
            method=reader.method,
            path=reader.path,
            query=reader.query,
            headers=reader.headers,
            names=reader.names,
            body=body,
            chunks=chunks,
            peer=self._peer,
        )
        try:
            given = self._endpoint.handler(request)
        except ClientGone:
            self.reset()
        except Exception as error:  # noqa: BLE001  # the last place that can answer
            self._fail(error)
        else:
            if isinstance(given, HttpResponse):
                self._respond(given)
            else:
                self._answer = outcome(given)
                self._answer.tell(self._answered)

    def _begin_body(self, reader: RequestReader) -> tuple[bytes | None, Callable[[], Chunks]]:
        arrived = reader.read_body()
        if reader.is_complete:
            return arrived, partial(request_body.whole, arrived)
        expected = [value.lower() for name, value in reader.headers if name == b"expect"]
        if expected not in ([], [b"100-continue"]):
            raise refusal.expectation_failed()
        self._body = RequestBody(
            self._transport,
            limit_bytes=self._endpoint.limits.buffered_bytes,
            is_continue_due=bool(expected) and reader.is_1_1 and not arrived,
        )
        self._body.feed(arrived)
        return None, self._body.chunks

    def _read_body(self) -> None:
        try:
            piece = self._reader.read_body()
        except Refusal as refused:
            self._refuse(refused)
            return
        if self._phase is _DISCARDING:
            self._discard(len(piece))
            if self._reader.is_complete:
                self._next()
                self._serve()
        elif self._body is not None:
            self._body.feed(piece)
            if self._reader.is_complete:
                self._body.end()

    def _hold_back(self) -> None:
        if self._reader.buffered_bytes > self._endpoint.limits.buffered_bytes:
            self._is_paused = True
            self._transport.pause_reading()
