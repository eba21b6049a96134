"""One HTTP/2 connection to a server (RFC 9113), carrying attempts.

    connecting --SETTINGS--> open --GOAWAY | out of stream ids--> draining --last answer--> closed
                               `----------- lost | the peer's fault | silent -----------------'

All that happens in one turn of the loop leaves in one write.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native import frames, peer_settings
from gateway.transcoding.transport.native.answer import AnswerHeads, failure, failure_of_reset
from gateway.transcoding.transport.native.attempt import WINDOW_BYTES, Attempt, Unprocessed
from gateway.transcoding.transport.native.flow_control import DEFAULT_WINDOW, Inflow, Outflow
from gateway.transcoding.transport.native.frames import ConnectionFault, FrameReader
from gateway.transcoding.transport.native.keepalive import Keepalive
from gateway.transcoding.transport.native.message import ACCEPTED
from gateway.transcoding.transport.native.peer_settings import PeerSettings
from gateway.transcoding.transport.native.request_head import RequestHeads

_CONNECTION_WINDOW: Final = 4 * WINDOW_BYTES
# What may wait to be written before a peer that asks for answers is taken for hostile.
_MAX_UNWRITTEN: Final = 8 * 1024 * 1024
_PING_BYTES: Final = 8
_KEEPALIVE: Final = b"\0" * _PING_BYTES
_TOO_MANY_PINGS: Final = b"too_many_pings"
_GOAWAY_BYTES: Final = 8


class Connection(asyncio.Protocol):
    """Carries attempts to one server. `opened` is done when the server has said its settings."""

    def __init__(self, authority: str, *, is_secure: bool, on_retired: Callable[[], None]) -> None:
        """`on_retired` is called when the connection takes no more attempts."""
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed = asyncio.Event()
        """Set when the connection takes no more attempts, and the last of them has ended."""
        self._is_retired = False
        self._on_retired = on_retired
        self._is_secure = is_secure
        self._transport: asyncio.Transport | None = None
        self._peer = PeerSettings()
        self._reader = FrameReader()
        self._answers = AnswerHeads()
        self._requests = RequestHeads(
            "https" if is_secure else "http",
            (
                (":authority", authority),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "grpc-python-souk"),
                ("grpc-accept-encoding", ACCEPTED),
            ),
        )
        self._outflow = Outflow()
        self._inflow = Inflow(_CONNECTION_WINDOW)
        self._keepalive = Keepalive(self._loop, self._ping, self._lose)
        self._streams: dict[int, Attempt] = {}
        self._queue: deque[Attempt] = deque()
        self._next_stream = 1
        self._unwritten: list[bytes] = []
        self._on_frame: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_data,
            self._on_headers,
            self._ignore,  # PRIORITY, which is of no use any more (RFC 9113 section 5.3.2)
            self._on_reset,
            self._on_settings,
            self._on_push,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
        )

    # What the balancer and the transport ask for.

    def start(self, attempt: Attempt) -> None:
        """Sends an attempt as soon as the peer's limit of streams lets it.

        Not to be called any more when the connection is retired.
        """
        attempt.carrier = self
        limit = self._peer.max_concurrent_streams
        if limit is not None and (self._queue or len(self._streams) >= limit):
            self._queue.append(attempt)
        else:
            self._open(attempt)

    def cancel(self, attempt: Attempt, code: int = frames.CANCEL) -> None:
        """Ends an attempt's stream, if it has not ended, and tells the peer."""
        attempt.carrier = None
        if attempt.stream_id == 0:
            if attempt in self._queue:
                self._queue.remove(attempt)
        elif self._streams.pop(attempt.stream_id, None) is not None:
            self._outflow.discard(attempt.stream_id)
            self._write(frames.rst_stream(attempt.stream_id, code))
            self._after_stream()

    def drain(self) -> None:
        """Takes no more attempts, and closes when those under way have ended."""
        self._retire()
        self._after_stream()

    def abort(self) -> None:
        """Closes at once. What is under way fails."""
        self._lose()

    # Attempts.

    def _open(self, attempt: Attempt) -> None:
        limit = self._peer.max_header_list_size
        if (
            limit is not None
            and self._requests.size(attempt.path, attempt.block, attempt.fields) > limit
        ):
            attempt.fail(
                failure(code_pb2.RESOURCE_EXHAUSTED, "the metadata is more than the service takes")
            )
            return
        stream_id = attempt.stream_id = self._next_stream
        self._next_stream = stream_id + 2
        self._streams[stream_id] = attempt
        block = self._requests.begin(attempt.path) + attempt.block
        self._write(
            frames.headers(stream_id, block, self._outflow.max_frame)
            + self._outflow.begin(stream_id, attempt.body)
        )
        if len(self._streams) == 1:
            # Alone, a call gains nothing by waiting for others.
            self._flush()
        if self._next_stream >= frames.MAX_STREAM_ID:
            self._retire()

    def _after_stream(self) -> None:
        """Opens what waits for a stream, or closes when there is nothing more to do."""
        limit = self._peer.max_concurrent_streams
        while self._queue and (limit is None or len(self._streams) < limit):
            self._open(self._queue.popleft())
        if self._is_retired and not self._streams:
            self._close()

    def _end(
        self, attempt: Attempt, error: Exception | None = None, reset: int | None = None
    ) -> None:
        """Forgets a stream that is over; `reset` tells the peer, who may not think so."""
        del self._streams[attempt.stream_id]
        attempt.carrier = None
        if self._outflow.discard(attempt.stream_id) and reset is None:
            # The answer came before all of the request was sent (RFC 9113 section 8.1).
            reset = frames.NO_ERROR
        if reset is not None:
            self._write(frames.rst_stream(attempt.stream_id, reset))
        if error is not None:
            attempt.fail(error)
        if self._queue or self._is_retired:
            self._after_stream()

    # Bytes.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the server (RFC 9113 section 3.4)."""
        # By its interface, not by its class: uvloop's are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if self._is_secure and (tls is None or tls.selected_alpn_protocol() != "h2"):
            self._lose()
            return
        self._write(
            frames.PREFACE
            + frames.frame(frames.SETTINGS, 0, 0, peer_settings.own(WINDOW_BYTES))
            + frames.window_update(0, _CONNECTION_WINDOW - DEFAULT_WINDOW)
        )

    def data_received(self, data: bytes) -> None:
        """Takes what the server sends."""
        self._keepalive.has_heard = True
        handlers = self._on_frame
        try:
            for kind, flags, stream_id, payload in self._reader.feed(data):
                if kind < len(handlers):
                    handlers[kind](flags, stream_id, payload)
        except ConnectionFault as fault:
            self._write(frames.goaway(fault.code))
            self._flush()
            self._lose()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Ends what was under way."""
        self._lose()

    def _write(self, data: bytes) -> None:
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(data)

    def _flush(self) -> None:
        if self._unwritten and self._transport is not None:
            self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()

    def _answer(self, data: bytes) -> None:
        """Writes what the peer asked for, unless it asks without ever reading."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() > _MAX_UNWRITTEN:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "the peer does not read")
        self._write(data)

    # Frames.

    def _stream(self, stream_id: int) -> Attempt | None:
        """Finds a stream, None if it has ended. Raises ConnectionFault if it never began."""
        attempt = self._streams.get(stream_id)
        if attempt is None and (stream_id >= self._next_stream or not stream_id & 1):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame on a stream that never began")
        return attempt

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        attempt = self._stream(stream_id)
        size = len(payload)
        grant = self._inflow.take(size)
        if grant:
            self._answer(frames.window_update(0, grant))
        if attempt is None:
            return
        ends = flags & frames.END_STREAM != 0
        grant = attempt.inflow.take(size)
        try:
            attempt.on_data(frames.unpadded(flags, payload), ends=ends)
        except StatusError as error:
            self._end(attempt, error, None if ends else frames.CANCEL)
        else:
            if grant:
                self._answer(frames.window_update(stream_id, grant))

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        head = self._answers.read(payload)
        attempt = self._stream(stream_id)
        if attempt is None:
            return
        ends = flags & frames.END_STREAM != 0
        try:
            attempt.on_head(head, ends=ends)
        except StatusError as error:
            self._end(attempt, error, None if ends else frames.CANCEL)
        else:
            if ends:
                self._end(attempt)

    def _on_reset(self, _: int, stream_id: int, payload: bytes) -> None:
        code = frames.word(payload)
        attempt = self._stream(stream_id)
        if attempt is not None:
            refused = code == frames.REFUSED_STREAM
            self._end(attempt, Unprocessed(was_sent=True) if refused else failure_of_reset(code))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            return
        peer = self._peer.changed(payload)
        if peer.header_table_size != self._peer.header_table_size:
            self._requests.limit(peer.header_table_size)
        self._outflow.settle(peer.initial_window_size)
        self._outflow.max_frame = peer.max_frame_size
        self._peer = peer
        self._answer(frames.frame(frames.SETTINGS, frames.ACK, 0) + self._outflow.more())
        if not self.opened.done():
            self.opened.set_result(None)
            self._keepalive.start()
        self._after_stream()

    def _on_push(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a push, which we have refused")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != _PING_BYTES:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a ping of another size")
        if not flags & frames.ACK:
            self._answer(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a goodbye of a stream")
        last, code = frames.word(payload) & frames.MAX_STREAM_ID, frames.word(payload, 4)
        if code == frames.ENHANCE_YOUR_CALM and payload[_GOAWAY_BYTES:] == _TOO_MANY_PINGS:
            self._keepalive.slow_down()
        for attempt in [each for each in self._streams.values() if each.stream_id > last]:
            del self._streams[attempt.stream_id]
            self._outflow.discard(attempt.stream_id)
            attempt.carrier = None
            attempt.fail(Unprocessed(was_sent=True))
        self.drain()

    def _on_window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        increment = frames.word(payload) & frames.MAX_STREAM_ID
        attempt = self._stream(stream_id) if stream_id else None
        if increment == 0 and stream_id == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a window that opens by nothing")
        if not self._outflow.widen(stream_id, increment) or increment == 0:
            if attempt is not None:
                error = failure(code_pb2.INTERNAL, "the service broke the flow control of the call")
                self._end(attempt, error, frames.FLOW_CONTROL_ERROR)
            return
        more = self._outflow.more()
        if more:
            self._write(more)

    def _ignore(self, _: int, __: int, ___: bytes) -> None:
        return

    # The end.

    def _ping(self) -> bool:
        """Asks for a sign of life, if somebody waits for one."""
        if self._streams:
            self._write(frames.frame(frames.PING, 0, 0, _KEEPALIVE))
        return bool(self._streams)

    def _retire(self) -> None:
        """Lets what waits for a stream go elsewhere."""
        if self._is_retired:
            return
        self._is_retired = True
        waiting = list(self._queue)
        self._queue.clear()
        self._on_retired()
        for attempt in waiting:
            attempt.carrier = None
            attempt.fail(Unprocessed(was_sent=False))

    def _close(self) -> None:
        """Says goodbye and hangs up."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(frames.goaway(frames.NO_ERROR))
            self._flush()
            self._transport.close()
        self._lost()

    def _lose(self) -> None:
        """Hangs up on a peer that is gone, silent or at fault."""
        if self._transport is not None:
            self._transport.abort()
        self._lost()

    def _lost(self) -> None:
        self._keepalive.stop()
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the server is no gRPC server"))
        self._retire()
        streams = list(self._streams.values())
        self._streams.clear()
        for attempt in streams:
            attempt.carrier = None
            attempt.fail(failure(code_pb2.UNAVAILABLE, "the connection to the service was lost"))
        self._transport = None
        self.closed.set()
