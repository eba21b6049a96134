"""One HTTP/2 connection to a server (RFC 9113).

    connecting --SETTINGS--> open --GOAWAY | out of stream ids--> draining --last answer--> closed
                               `----------- lost | the peer's fault | silent -----------------'

What happens in one turn of the loop leaves in one write, unless it is much.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from gateway.transcoding.transport.native import frames, peer_settings
from gateway.transcoding.transport.native.exchange import WINDOW_BYTES, Exchange
from gateway.transcoding.transport.native.flow_control import DEFAULT_WINDOW
from gateway.transcoding.transport.native.frames import ConnectionFault, FrameReader
from gateway.transcoding.transport.native.keepalive import (
    INTERVAL_SECONDS,
    TIMEOUT_SECONDS,
    Keepalive,
)
from gateway.transcoding.transport.native.message import ACCEPTED
from gateway.transcoding.transport.native.peer_settings import PeerSettings
from gateway.transcoding.transport.native.request_head import RequestHeads
from gateway.transcoding.transport.native.streams import CONNECTION_WINDOW, Streams

# What is gathered in one turn before the network is asked whether it takes more.
_MAX_TURN: Final = 65_536
# What may wait to be written before a peer that asks for answers is taken for hostile.
_MAX_UNWRITTEN: Final = 8 * 1024 * 1024
_PING_BYTES: Final = 8
_KEEPALIVE: Final = b"\0" * _PING_BYTES
_TOO_MANY_PINGS: Final = b"too_many_pings"
_GOAWAY_BYTES: Final = 8


class Connection(asyncio.Protocol):
    """Carries exchanges with one server. `opened` is done when the server has said its settings."""

    def __init__(self, authority: str, *, is_secure: bool, on_retired: Callable[[], None]) -> None:
        """`on_retired` is called when the connection takes no more exchanges."""
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed = asyncio.Event()
        """Set when the connection takes no more exchanges, and the last of them has ended."""
        self._is_retired = False
        self._on_retired = on_retired
        self._is_secure = is_secure
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._reader = FrameReader()
        self._peer = PeerSettings()
        self._keepalive = Keepalive(self._loop, self._ping, self._lose)
        constants = (
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-python-native"),
            ("grpc-accept-encoding", ACCEPTED),
        )
        requests = RequestHeads("https" if is_secure else "http", constants)
        self._streams = Streams(requests, self._write, self._reply, self._on_ended)
        self._on_frame: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._streams.on_data,
            frames.HEADERS: self._streams.on_headers,
            frames.RST_STREAM: self._streams.on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._streams.on_window_update,
        }

    def start(self, exchange: Exchange) -> None:
        """Begins an exchange as soon as the peer's limit of streams lets it.

        Not to be called any more when the connection is retired.
        """
        self._streams.start(exchange)
        if len(self._streams) == 1:
            # Alone, a call gains nothing by waiting for others.
            self._flush()

    def drain(self) -> None:
        """Takes no more exchanges, and closes when those under way have ended."""
        self._retire()
        self._on_ended()

    def abort(self) -> None:
        """Closes at once. What is under way fails."""
        self._lose()

    # Bytes.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the server (RFC 9113 section 3.4)."""
        # By its interface, not by its class: uvloop's are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if self._is_secure and (tls is None or tls.selected_alpn_protocol() != "h2"):
            self._lose()
            return
        _bound_silence(transport.get_extra_info("socket"))
        self._write(
            frames.PREFACE
            + frames.frame(frames.SETTINGS, 0, 0, peer_settings.own(WINDOW_BYTES))
            + frames.window_update(0, CONNECTION_WINDOW - DEFAULT_WINDOW)
        )

    def data_received(self, data: bytes) -> None:
        """Takes what the server sends."""
        self._keepalive.has_heard = True
        on_frame = self._on_frame
        try:
            for kind, flags, stream_id, payload in self._reader.feed(data):
                # Others are to be ignored: of extensions, or PRIORITY, which is of no use any more.
                handle = on_frame.get(kind)
                if handle is not None:
                    handle(flags, stream_id, payload)
        except ConnectionFault as fault:
            self._write(frames.goaway(fault.code))
            self._flush()
            self._lose()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Ends what was under way."""
        self._lose()

    def pause_writing(self) -> None:
        """Lets messages wait: the peer's windows are open wider than the network carries."""
        self._streams.hold(is_held=True)

    def resume_writing(self) -> None:
        """Lets them go on."""
        self._streams.hold(is_held=False)

    def _write(self, data: bytes) -> None:
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(data)
        self._unwritten_bytes += len(data)
        if self._unwritten_bytes >= _MAX_TURN:
            self._flush()

    def _flush(self) -> None:
        if self._unwritten and self._transport is not None:
            self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()
        self._unwritten_bytes = 0

    def _reply(self, data: bytes) -> None:
        """Writes what the peer has caused. Raises ConnectionFault if it never reads it."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() > _MAX_UNWRITTEN:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "the peer does not read")
        self._write(data)

    # Frames of the connection as a whole.

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            return
        self._peer = self._peer.changed(payload)
        self._reply(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._streams.on_settings(self._peer)
        if not self.opened.done():
            self.opened.set_result(None)
            self._keepalive.start()

    def _on_push(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a push, which we have refused")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != _PING_BYTES:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a ping of another size")
        if not flags & frames.ACK:
            self._reply(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a goodbye of a stream")
        last, code = frames.word(payload) & frames.MAX_STREAM_ID, frames.word(payload, 4)
        if code == frames.ENHANCE_YOUR_CALM and payload[_GOAWAY_BYTES:] == _TOO_MANY_PINGS:
            self._keepalive.slow_down()
        # At first: what is told of its refusal may call again, and not here.
        self._retire()
        self._streams.refuse_after(last)
        self._on_ended()

    # The end.

    def _ping(self) -> bool:
        """Asks for a sign of life, if somebody waits for one."""
        if self._streams:
            self._write(frames.frame(frames.PING, 0, 0, _KEEPALIVE))
        return bool(self._streams)

    def _on_ended(self) -> None:
        """Retires or closes the connection when there is nothing more to do on it."""
        if self._streams.are_used_up:
            self._retire()
        if self._is_retired and not self._streams:
            self._close()

    def _retire(self) -> None:
        if not self._is_retired:
            self._is_retired = True
            self._on_retired()
            self._streams.refuse_waiting()

    def _close(self) -> None:
        """Says goodbye and hangs up."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(frames.goaway(frames.NO_ERROR))
            self._flush()
            self._transport.close()
        self._end()

    def _lose(self) -> None:
        """Hangs up on a peer that is gone, silent or at fault."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _end(self) -> None:
        self._transport = None
        self._keepalive.stop()
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the server is no gRPC server"))
            # Who opened it may have failed already; then nobody else asks.
            self.opened.exception()
        self._retire()
        self._streams.fail()
        self.closed.set()


def _bound_silence(connection: socket.socket) -> None:
    """Lets what is sent go unacknowledged no longer than a ping (gRFC A18).

    While nobody sends, as in a quiet stream, the system asks whether the peer's machine is there.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(INTERVAL_SECONDS))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, int(TIMEOUT_SECONDS))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(TIMEOUT_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
