"""The streams of one connection: each carries an exchange, or one waits until it may have one.

start -> waiting (SETTINGS_MAX_CONCURRENT_STREAMS) -> under way -> ended
`------------------ cancel -------------------'
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.answer import AnswerHeads, failure, failure_of_reset
from gateway.transcoding.transport.native.exchange import Exchange, Unprocessed
from gateway.transcoding.transport.native.flow_control import Inflow, Outflow
from gateway.transcoding.transport.native.frames import ConnectionFault
from gateway.transcoding.transport.native.peer_settings import PeerSettings
from gateway.transcoding.transport.native.request_head import RequestHeads

CONNECTION_WINDOW: Final = 16 * 1024 * 1024
"""What a peer may send on all streams before we say more.

It opens as bytes come, whoever takes them: a reader that is slow holds up its own stream alone.
"""

Write = Callable[[bytes], None]


class Streams:
    """What is under way, and what waits."""

    def __init__(
        self, requests: RequestHeads, write: Write, reply: Write, on_ended: Callable[[], None]
    ) -> None:
        """`write` sends; `reply` sends what the peer has caused, and raises if it is too much.

        `on_ended` is called when no stream is under way any more, or no more can be begun.
        """
        self._requests = requests
        self._write = write
        self._reply = reply
        self._on_ended = on_ended
        self._peer = PeerSettings()
        self._answers = AnswerHeads()
        self._outflow = Outflow()
        self._inflow = Inflow(CONNECTION_WINDOW)
        self._under_way: dict[int, Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._next_id = 1

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    @property
    def are_used_up(self) -> bool:
        """Whether no stream is left to begin (RFC 9113 section 5.1.1)."""
        return self._next_id >= frames.MAX_STREAM_ID

    # Exchanges.

    def start(self, exchange: Exchange) -> None:
        """Sends an exchange as soon as the peer's limit of streams lets it."""
        exchange.carrier = self
        limit = self._peer.max_concurrent_streams
        if limit is not None and (self._waiting or len(self._under_way) >= limit):
            self._waiting.append(exchange)
        else:
            self._open(exchange)

    def cancel(self, exchange: Exchange) -> None:
        """Ends an exchange's stream, if it has not ended, and tells the peer."""
        exchange.carrier = None
        if exchange.stream_id in self._under_way:
            self._end(exchange, reset=frames.CANCEL)
        elif exchange in self._waiting:
            self._waiting.remove(exchange)

    def send(
        self, exchange: Exchange, data: bytes, on_sent: Callable[[], None], *, ends: bool
    ) -> None:
        """Sends what comes next as the windows let it, and calls `on_sent` when all has left."""
        now = self._outflow.put(exchange.stream_id, data, on_sent, ends=ends)
        if now:
            self._write(now)
            self._write_more()

    def widen(self, exchange: Exchange, increment: int) -> None:
        """Lets the peer send so many more bytes."""
        self._write(frames.window_update(exchange.stream_id, increment))

    def hold(self, *, is_held: bool) -> None:
        """Lets messages wait while the network takes no more, or go on."""
        self._outflow.is_held = is_held
        if not is_held:
            self._write_more()

    def refuse_waiting(self) -> None:
        """Lets what waits for a stream go elsewhere."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for exchange in waiting:
            exchange.carrier = None
            exchange.fail(Unprocessed(was_sent=False))

    def refuse_after(self, last_id: int) -> None:
        """Lets what the peer has not begun to work on go elsewhere (RFC 9113 section 6.8)."""
        for exchange in [each for each in self._under_way.values() if each.stream_id > last_id]:
            self._forget(exchange)
            exchange.fail(Unprocessed(was_sent=True))

    def fail(self) -> None:
        """Ends what is under way, the connection being gone."""
        for exchange in list(self._under_way.values()):
            self._forget(exchange)
            exchange.fail(failure(code_pb2.UNAVAILABLE, "the connection to the service was lost"))

    def _open(self, exchange: Exchange) -> None:
        most = self._peer.max_header_list_size
        block, body = exchange.block, exchange.body
        if most is not None and most < self._requests.size(exchange.path, block, exchange.fields):
            exchange.fail(
                failure(code_pb2.RESOURCE_EXHAUSTED, "the metadata is more than the service takes")
            )
            return
        stream_id = exchange.stream_id = self._next_id
        self._next_id = stream_id + 2
        self._under_way[stream_id] = exchange
        block = self._requests.begin(exchange.path) + block
        head = frames.headers(stream_id, block, self._peer.max_frame_size)
        if body is not None:
            self._write(head + self._outflow.begin(stream_id, body))
            if self._outflow.is_waiting:
                self._write_more()
        else:
            self._write(head)
            self._outflow.open(stream_id)
            exchange.on_open()
        if stream_id >= frames.MAX_STREAM_ID - 2:
            self._on_ended()

    def _open_waiting(self) -> None:
        limit = self._peer.max_concurrent_streams
        while self._waiting and (limit is None or len(self._under_way) < limit):
            self._open(self._waiting.popleft())

    def _end(
        self,
        exchange: Exchange,
        error: StatusError | Unprocessed | None = None,
        reset: int | None = None,
    ) -> None:
        """Forgets a stream that is over; `reset` tells the peer, who may not think so."""
        if self._forget(exchange) and reset is None:
            # The answer came before all of the request was sent (RFC 9113 section 8.1).
            reset = frames.NO_ERROR
        if reset is not None:
            self._write(frames.rst_stream(exchange.stream_id, reset))
        if error is not None:
            exchange.fail(error)
        if self._waiting:
            self._open_waiting()
        if not self._under_way:
            self._on_ended()

    def _forget(self, exchange: Exchange) -> bool:
        """Returns whether some of the request was still to be sent."""
        exchange.carrier = None
        del self._under_way[exchange.stream_id]
        return self._outflow.discard(exchange.stream_id)

    # Frames.

    def on_settings(self, peer: PeerSettings) -> None:
        """Takes what the peer says of itself now. Raises ConnectionFault."""
        if peer.header_table_size != self._peer.header_table_size:
            self._requests.limit(peer.header_table_size)
        self._peer = peer
        self._outflow.settle(peer.initial_window_size)
        self._outflow.limit_frames(peer.max_frame_size)
        self._write_more()
        self._open_waiting()

    def on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Takes a piece of an answer. Raises ConnectionFault."""
        exchange = self._under_way.get(stream_id) or self._find(stream_id)
        size = len(payload)
        grant = self._inflow.take(size)
        if grant:
            self._reply(frames.window_update(0, grant))
        if exchange is None:
            return
        ends = flags & frames.END_STREAM != 0
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        try:
            grant = exchange.on_data(payload, size, ends=ends)
        except StatusError as error:
            self._end(exchange, error, None if ends else frames.CANCEL)
        else:
            if grant:
                self._reply(frames.window_update(stream_id, grant))

    def on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        """Takes a header block. Raises ConnectionFault."""
        # Read in any case: it may change what later blocks mean.
        head = self._answers[block]
        exchange = self._under_way.get(stream_id) or self._find(stream_id)
        if exchange is None:
            return
        ends = flags & frames.END_STREAM != 0
        try:
            exchange.on_head(head, ends=ends)
        except StatusError as error:
            self._end(exchange, error, None if ends else frames.CANCEL)
        else:
            if ends:
                self._end(exchange)

    def on_reset(self, _: int, stream_id: int, payload: bytes) -> None:
        """Takes that the peer has ended a stream. Raises ConnectionFault."""
        code = frames.word(payload)
        exchange = self._find(stream_id)
        if exchange is not None:
            refused = code == frames.REFUSED_STREAM
            self._end(exchange, Unprocessed(was_sent=True) if refused else failure_of_reset(code))

    def on_window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        """Takes that more may be sent. Raises ConnectionFault."""
        increment = frames.word(payload) & frames.MAX_STREAM_ID
        exchange = self._find(stream_id) if stream_id else None
        if increment == 0 and stream_id == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a window that opens by nothing")
        if self._outflow.widen(stream_id, increment) and increment:
            self._write_more()
        elif exchange is not None:
            error = failure(code_pb2.INTERNAL, "the service broke the flow control of the call")
            self._end(exchange, error, frames.FLOW_CONTROL_ERROR)

    def _find(self, stream_id: int) -> Exchange | None:
        """Finds a stream, None if it has ended. Raises ConnectionFault if it never began."""
        exchange = self._under_way.get(stream_id)
        if exchange is None and (stream_id >= self._next_id or not stream_id & 1):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame on a stream that never began")
        return exchange

    def _write_more(self) -> None:
        while more := self._outflow.more():
            self._write(more)
