"""One connection: its requests in order, one under way at a time.

What a client sends ahead waits until the present answer is written: so answers keep their order
without being held, and so do effects (RFC 9112 section 9.3.2).
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import structlog

from gateway.http1 import answer, refusal, request_body
from gateway.http1.answer import NotSendable
from gateway.http1.channel import Channel
from gateway.http1.endpoint import Endpoint
from gateway.http1.phase import Phase
from gateway.http1.refusal import Refusal
from gateway.http1.request_body import RequestBody
from gateway.http1.request_reader import RequestReader
from gateway.http1.request_target import ASTERISK
from gateway.transcoding.http import Chunks, ClientGone, HttpRequest, HttpResponse

# Global names, since they are looked up for every request.
_IDLE: Final = Phase.IDLE
_HEADER: Final = Phase.HEADER
_BUSY: Final = Phase.BUSY
_DISCARDING: Final = Phase.DISCARDING
_LINGERING: Final = Phase.LINGERING

_REQUEST_TIMEOUT: Final = 408

_log = structlog.get_logger(__name__)


class Connection(Channel):
    """The protocol of a connection."""

    __slots__ = (
        "_answer",
        "_body",
        "_discarded_bytes",
        "_is_last",
        "_is_paused",
        "_phase",
        "_reader",
        "_since",
        "_stream",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._reader = RequestReader(endpoint.limits)
        self._phase = _IDLE
        self._since = endpoint.clock.now
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._stream: asyncio.Task[None] | None = None
        self._body: RequestBody | None = None
        self._discarded_bytes = 0
        self._is_last = self._is_paused = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or refuses it."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._endpoint.enter(self):
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
            body=body,
            chunks=chunks,
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
                self._answer = given
                given.add_done_callback(self._answered)

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

    # Its answer.

    def _answered(self, given: asyncio.Future[HttpResponse]) -> None:
        if self._answer is not given:
            return
        self._answer = None
        if given.cancelled():
            self.reset()
            return
        error = given.exception()
        if error is None:
            self._respond(given.result())
            self._serve()
        elif isinstance(error, ClientGone):
            self.reset()
        else:
            self._fail(error)

    def _respond(self, response: HttpResponse) -> None:
        reader = self._reader
        body = response.body
        if not reader.is_keep_alive or response.status == _REQUEST_TIMEOUT:
            self._is_last = True
        if self._body is not None and self._is_burden(self._body):
            self._is_last = True
        try:
            if response.websocket is not None:
                self._upgrade(response)
                return
            lines = self._endpoint.clock.first_lines(response.status)
            if isinstance(body, bytes):
                written = answer.whole(
                    lines,
                    response,
                    body,
                    is_head=reader.method == "HEAD",
                    is_last=self._is_last,
                    is_1_1=reader.is_1_1,
                )
                self._written_bytes += len(written)
                self._transport.write(written)
                self._finish()
            else:
                self._is_last = self._is_last or not reader.is_1_1
                self.write(
                    answer.beginning(lines, response, is_last=self._is_last, is_1_1=reader.is_1_1)
                )
                sending = self._send(body, is_head=reader.method == "HEAD")
                self._stream = asyncio.get_running_loop().create_task(sending)
        except Refusal as refused:
            self._refuse(refused)
        except NotSendable as error:
            self._fail(error)

    def _is_burden(self, body: RequestBody) -> bool:
        """Says whether the rest of the body is better not waited for."""
        missing = 0 if self._reader.is_complete else self._reader.missing_bytes or 0
        # Who was not told to continue may send the body all the same, or not: what comes next
        # would be anybody's guess.
        return body.is_continue_due or missing > self._endpoint.limits.discarded_bytes

    async def _send(self, chunks: Chunks, *, is_head: bool) -> None:
        """Sends a body as it comes, and no faster than the client reads it."""
        is_chunked = self._reader.is_1_1
        try:
            async with contextlib.aclosing(chunks):
                if not is_head:
                    async for piece in chunks:
                        if piece:
                            self.write(answer.chunk(piece) if is_chunked else piece)
                        await self.until_writable()
        except Exception as error:  # noqa: BLE001  # there is no one else to tell
            self._cut_off(error)
            return
        if is_chunked and not is_head:
            self.write(answer.LAST_CHUNK)
        self._stream = None
        self._finish()
        self._serve()

    def _cut_off(self, error: Exception) -> None:
        """Ends an answer that has begun in a way that does not look like its end."""
        if not isinstance(error, ClientGone):
            _log.warning("answer cut off", exc_info=error)
        if self._reader.is_1_1:
            # What was sent still arrives; the last chunk does not.
            self._transport.close()
        else:
            self.reset()

    def _upgrade(self, response: HttpResponse) -> None:
        if not self._reader.wants_websocket or response.websocket is None:
            raise refusal.upgrade_required()
        # Most processes never speak a WebSocket, and what does takes 4 MB.
        from gateway.http1.websocket import WebSocketConnection, handshake  # noqa: PLC0415

        protocol, written = handshake(
            self._reader.path, self._reader.headers, response.headers, self._endpoint.limits
        )
        successor = WebSocketConnection(self._endpoint, self._transport, protocol)
        self._transport.set_protocol(successor)
        self._endpoint.replace(self, successor)
        successor.start(response.websocket, written, self._reader.take_rest())
        self._reader.close()

    # What comes after it.

    def _finish(self) -> None:
        if self._body is not None:
            self._discarded_bytes = self._body.discard()
        if self._is_last or self._endpoint.is_draining:
            self._linger()
        elif self._reader.is_complete:
            self._next()
        else:
            self._enter(_DISCARDING)

    def _next(self) -> None:
        self._body = None
        self._phase = _IDLE
        self._since = self._endpoint.clock.now

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._endpoint.clock.now

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._discarded_bytes > self._endpoint.limits.discarded_bytes:
            self.reset()

    def _linger(self) -> None:
        """Sends no more, and waits for the client to close."""
        self._enter(_LINGERING)
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        self._transport.write_eof()

    def _refuse(self, refused: Refusal) -> None:
        """Answers a request that goes no further, or ends the answer that it has begun to get."""
        has_begun = self._stream is not None
        self._abandon()
        if has_begun:
            self.reset()
            return
        self.write(refused.to_bytes(self._endpoint.clock.date))
        self._linger()

    def _fail(self, error: BaseException) -> None:
        _log.error("request failed", exc_info=error)
        self._refuse(refusal.internal())

    def _abandon(self) -> None:
        """Cancels what is under way."""
        under_way, self._answer = self._answer, None
        if under_way is not None:
            under_way.cancel()
        if self._stream is not None:
            self._stream.cancel()
        if self._body is not None:
            self._body.lose()
        super().resume_writing()
