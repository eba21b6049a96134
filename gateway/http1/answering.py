"""The answering half of a connection: what a handler gives becomes bytes, or the end."""

import asyncio
import contextlib
from typing import Final

import structlog

from gateway.http1 import answer, refusal
from gateway.http1.answer import NotSendable
from gateway.http1.channel import Channel
from gateway.http1.endpoint import Endpoint
from gateway.http1.phase import Phase
from gateway.http1.refusal import Refusal
from gateway.http1.request_body import RequestBody
from gateway.http1.request_reader import RequestReader
from gateway.transcoding.http import Chunks, ClientGone, HttpResponse
from gateway.transcoding.outcome import Outcome

# A global name, since it is looked up for every request.
_IDLE: Final = Phase.IDLE
_REQUEST_TIMEOUT: Final = 408

_log = structlog.get_logger(__name__)


class Answering(Channel):
    """Answers the request that its reader has read, and is ready for the next one."""

    __slots__ = (
        "_answer",
        "_body",
        "_discarded_bytes",
        "_is_last",
        "_phase",
        "_reader",
        "_since",
        "_stream",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._reader = RequestReader(endpoint.limits)
        self._phase = Phase.IDLE
        self._since = endpoint.clock.now
        self._answer: Outcome[HttpResponse] | None = None
        self._stream: asyncio.Task[None] | None = None
        self._body: RequestBody | None = None
        self._discarded_bytes = 0
        self._is_last = False

    def _serve(self) -> None:
        """Goes on with the next request, if it has arrived."""
        raise NotImplementedError

    # The answer.

    def _answered(self, response: HttpResponse, error: BaseException | None) -> None:
        """Takes what came of the handler's answer, unless nobody is there any more."""
        if self._answer is None:
            return
        self._answer = None
        if error is None:
            try:
                self._respond(response)
                if self._reader.buffered_bytes:
                    # Not here: answers that come at once would come in one another.
                    asyncio.get_running_loop().call_soon(self._serve)
            except Exception as failure:  # noqa: BLE001  # nobody else would hear of it
                self._fail(failure)
        elif isinstance(error, (ClientGone, asyncio.CancelledError)):
            self.reset()
        else:
            self._fail(error)

    def _respond(self, response: HttpResponse) -> None:
        reader = self._reader
        body = response.body
        if not reader.is_keep_alive or response.status == _REQUEST_TIMEOUT:
            self._is_last = True
        if self._body is not None:
            self._is_last = self._is_last or self._is_burden(self._body)
            self._body.is_continue_due = False
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
        if not self._transport.is_closing():
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
            self._enter(Phase.DISCARDING)

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
        self._enter(Phase.LINGERING)
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
            # Not before it has begun: chunks that nobody has asked for cannot be told to end.
            asyncio.get_running_loop().call_soon(self._stream.cancel)
        if self._body is not None:
            self._body.lose()
        Channel.resume_writing(self)
