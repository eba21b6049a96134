"""A connection that has become a WebSocket (RFC 6455). `websockets` reads and writes the frames.

    handshake -> messages both ways, pings in long silences -> close, or loss

No extension is offered: compression of small JSON messages costs more memory than it is worth.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from websockets.datastructures import Headers as WebSocketHeaders
from websockets.exceptions import InvalidHeaderValue
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from gateway.http1 import refusal
from gateway.http1.answer import NotSendable
from gateway.http1.channel import Channel
from gateway.http1.endpoint import Endpoint
from gateway.http1.limits import Limits
from gateway.transcoding.errors import Headers
from gateway.transcoding.http import ClientGone, WebSocket

Speak = Callable[[WebSocket], Awaitable[None]]

_SWITCHING: Final = 101
# RFC 6455 section 5.5: a control frame has 125 bytes, of which two are the code.
_REASON_BYTES: Final = 123

_log = structlog.get_logger(__name__)
# It tells of every connection that ends.
_library_log = logging.getLogger("websockets.server")
_library_log.setLevel(logging.WARNING)


def handshake(
    path: str, headers: Headers, added: Headers, limits: Limits
) -> tuple[Protocol, bytes]:
    """Answers a handshake: gives the open connection's protocol, and the answer, with `added`.

    Raises Refusal for what is no handshake, NotSendable for a field that cannot be sent.
    """
    request = Request(path, WebSocketHeaders(_texts(headers)))
    response = ServerProtocol(logger=_library_log).accept(request)
    if response.status_code != _SWITCHING:
        raise refusal.bad_handshake()
    try:
        response.headers.update(_texts(added))
    except InvalidHeaderValue as error:
        raise NotSendable("a header field cannot be sent") from error
    protocol = Protocol(Side.SERVER, max_size=limits.message_bytes, logger=_library_log)
    return protocol, response.serialize()


def _texts(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class WebSocketConnection(Channel):
    """The protocol of a WebSocket, and the WebSocket that its speaker has."""

    __slots__ = (
        "_arrival",
        "_closing_since",
        "_heard_at",
        "_is_ended",
        "_is_paused",
        "_is_pinged",
        "_is_text",
        "_lost",
        "_messages",
        "_parts",
        "_protocol",
        "_speaking",
        "_unread_bytes",
    )

    def __init__(
        self, endpoint: Endpoint, transport: asyncio.Transport, protocol: Protocol
    ) -> None:
        super().__init__(endpoint)
        self._transport = transport
        self._protocol = protocol
        self._messages: deque[str | bytes] = deque()
        self._unread_bytes = 0
        self._parts: list[bytes] = []
        self._is_text = self._is_ended = self._is_paused = self._is_pinged = False
        self._arrival: asyncio.Future[None] | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._lost = asyncio.get_running_loop().create_future()
        self._heard_at = endpoint.clock.now
        self._closing_since: float | None = None

    def start(self, speak: Speak, written: bytes, rest: bytes) -> None:
        """Sends the handshake's answer and lets `speak` speak; `rest` came after the handshake."""
        self.write(written)
        self._speaking = asyncio.get_running_loop().create_task(self._run(speak))
        if rest:
            self.data_received(rest)

    async def _run(self, speak: Speak) -> None:
        try:
            await speak(self)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001  # there is no one else to tell
            _log.error("WebSocket failed", exc_info=error)
            await self.close(CloseCode.INTERNAL_ERROR, "internal error")
        await self.close()

    # What the speaker calls.

    async def receive(self) -> str | bytes | None:
        """Gives the next message; None when there will be no other."""
        while not self._messages:
            if self._is_ended:
                return None
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        message = self._messages.popleft()
        self._unread_bytes -= len(message)
        self._keep_pace()
        return message

    async def send(self, message: str | bytes) -> None:
        """Sends a message when the peer has room for it. Raises ClientGone after the close."""
        await self.until_writable()
        if self._protocol.state is not State.OPEN:
            raise ClientGone
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Closes, and waits for the peer to close, too, or to have had the time for it."""
        self._begin_close(code, reason)
        await asyncio.shield(self._lost)

    def _begin_close(self, code: int, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            cut = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
            self._protocol.send_close(code, cut)
            self._flush()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Takes frames, or pieces of them."""
        self._heard_at = self._endpoint.clock.now
        self._is_pinged = False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and not self._is_ended:
                self._take(event)
        self._flush()
        self._keep_pace()

    def eof_received(self) -> None:
        """Takes the end of the connection; the transport closes."""
        self._protocol.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels what is done for a client that has gone."""
        del exc
        self._end()
        if not self._lost.done():
            self._lost.set_result(None)
        if self._speaking is not None:
            # Not before it has begun: what was made for it is its to end.
            asyncio.get_running_loop().call_soon(self._speaking.cancel)
        super().resume_writing()
        self._endpoint.leave(self)

    def pause_writing(self) -> None:
        """Takes note that the client does not keep up; its pings have to wait, too."""
        super().pause_writing()
        self._keep_pace()

    def resume_writing(self) -> None:
        """Takes note that it has caught up."""
        super().resume_writing()
        self._keep_pace()

    # What the endpoint calls.

    def check(self, now: float) -> None:
        """Asks a silent peer for a sign of life; ends what has taken too long."""
        limits = self._endpoint.limits
        if self._is_paused:
            self._heard_at = now
        silence = now - self._heard_at
        is_late = self._closing_since is not None and (
            now - self._closing_since > limits.linger_seconds
        )
        if is_late:
            self.abort()
        elif silence > 2 * limits.ping_seconds or self.is_stalled(now):
            self.reset()
        elif silence > limits.ping_seconds and not self._is_pinged and self._closing_since is None:
            self._is_pinged = True
            self._protocol.send_ping(b"")
            self._flush()

    def drain(self) -> None:
        """Tells the peer that the server goes away."""
        self._begin_close(CloseCode.GOING_AWAY, "")
        self._end()

    # Frames.

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._end()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            if frame.data:
                self._parts.append(bytes(frame.data))
            if frame.fin:
                self._take_message(b"".join(self._parts))
                self._parts.clear()

    def _take_message(self, data: bytes) -> None:
        message: str | bytes = data
        if self._is_text:
            try:
                message = data.decode()
            except UnicodeDecodeError:
                self._protocol.fail(CloseCode.INVALID_DATA, "not UTF-8")
                self._end()
                return
        self._messages.append(message)
        self._unread_bytes += len(message)
        self._wake()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.write(data)
            elif not self._transport.is_closing():
                self._transport.write_eof()
        if self._protocol.state is not State.OPEN:
            if self._closing_since is None:
                self._closing_since = self._endpoint.clock.now
            if self._protocol.eof_sent:
                self._end()

    def _end(self) -> None:
        """No message will come any more."""
        self._is_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _keep_pace(self) -> None:
        """Reads on only while messages are taken, and what answers them can be sent."""
        is_full = self._unread_bytes > self._endpoint.limits.buffered_bytes
        is_paused = (is_full or self._writable is not None) and not self._is_ended
        if is_paused == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = is_paused
        if is_paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
