"""One try of a streaming call: a stream of one connection, and the messages both ways.

    waiting (for a stream) -> open -> headers -> message ... -> trailers
            |                   `---------- fails at any point ----------'

The peer may send one window ahead of the reader, and a larger message when the reader has come to
it: so much is kept of a call whose reader is slow, and no more.
"""

import asyncio
from collections import deque

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata
from gateway.transcoding.transport.native.answer import (
    Head,
    failure,
    failure_of_http,
    failure_of_trailers,
)
from gateway.transcoding.transport.native.exchange import WINDOW_BYTES, Carrier, Unprocessed
from gateway.transcoding.transport.native.flow_control import spent
from gateway.transcoding.transport.native.message import (
    PREFIX_BYTES,
    MessagesReader,
    decompressed,
)
from gateway.transcoding.transport.native.peer_settings import MAX_HEADER_LIST_BYTES

_INFORMATIONAL = range(100, 200)


class StreamingAttempt:
    """What has come of the answers. Its connection feeds it; one task reads, one sends."""

    def __init__(
        self, path: str, block: bytes, fields: int, body: bytes | None, limit_bytes: int
    ) -> None:
        """`body` is the one message with its prefix; None if `send` and `finish` will be called.

        `limit_bytes` is what each message of the answer may measure.
        """
        self.path = path
        self.block = block
        self.fields = fields
        self.body = body
        self.carrier: Carrier | None = None
        self.stream_id = 0
        self.head: Head | None = None
        self.trailers: Metadata = ()
        self.pushback_ms: int | None = None
        """What the failed call's trailers say about retrying."""
        self._loop = asyncio.get_running_loop()
        self._window = WINDOW_BYTES
        self._limit = limit_bytes
        self._reader = MessagesReader(limit_bytes)
        self._messages: deque[tuple[bytes, bool]] = deque()
        self._unread = 0
        self._is_over = False
        self._error: Exception | None = None
        self._to_read: asyncio.Future[None] | None = None
        self._to_send: asyncio.Future[None] | None = None
        self._is_sending = False

    @property
    def is_committed(self) -> bool:
        """Whether the answer had begun, so that the call must not be repeated (gRFC A6)."""
        return self.head is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes, nor may be sent."""
        return self._is_over

    # The reader's side.

    async def begun(self) -> None:
        """Waits until the answer has begun. Raises StatusError or Unprocessed if it does not."""
        while self.head is None and not self._is_over:
            await self._wait_to_read()
        if self.head is None and self._error is not None:
            raise self._error

    async def receive(self) -> bytes | None:
        """Waits for the next message; None when all have come. Raises what ended the call."""
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return None
            await self._wait_to_read()
        message, is_compressed = self._messages.popleft()
        self._unread -= PREFIX_BYTES + len(message)
        grant = self._grant()
        if grant and self.carrier is not None:
            self.carrier.widen(self, grant)
        if not is_compressed:
            return message
        encoding = self.head.encoding if self.head is not None else "identity"
        return decompressed(message, encoding, self._limit)

    def abandon(self, error: Exception) -> None:
        """Ends the call because of us: what has come is nobody's any more, the peer is told."""
        if self._is_over:
            return
        self._messages.clear()
        carrier = self.carrier
        self.fail(error)
        if carrier is not None:
            carrier.cancel(self)

    # The sender's side.

    async def send(self, message: bytes) -> None:
        """Sends a message with its prefix, and waits until it has left; in vain once it is over."""
        await self._wait_to_send()
        if self.carrier is not None and not self._is_over:
            self._is_sending = True
            self.carrier.send(self, message, self._on_sent, ends=False)
            await self._wait_to_send()

    async def finish(self) -> None:
        """Says that there are no more messages."""
        await self._wait_to_send()
        if self.carrier is not None and not self._is_over:
            self.carrier.send(self, b"", self._on_sent, ends=True)

    # The connection's side.

    def on_open(self) -> None:
        """Takes that there is a stream to send on."""
        _wake(self._to_send)

    def on_head(self, head: Head, *, ends: bool) -> None:
        """Takes a header block. Raises StatusError if the call failed by it."""
        if head.size > MAX_HEADER_LIST_BYTES:
            raise failure(code_pb2.RESOURCE_EXHAUSTED, "the metadata of the answer is too large")
        if ends:
            self._on_trailers(head)
        elif self.head is not None:
            raise failure(code_pb2.INTERNAL, "the service answered with headers twice")
        elif head.http_status not in _INFORMATIONAL:
            if head.http_status != 200 or not head.is_grpc:  # noqa: PLR2004  # OK
                raise failure_of_http(head)
            self.head = head
            _wake(self._to_read)

    def on_data(self, data: bytes, size: int, *, ends: bool) -> int:
        """Takes a piece of the answers, and returns by how much to open the window."""
        self._window = spent(self._window, size)
        if self.head is None:
            raise failure(code_pb2.INTERNAL, "the service answered without headers")
        messages = self._reader.feed(data)
        if messages:
            self._messages.extend(messages)
            self._unread += sum(PREFIX_BYTES + len(message) for message, _ in messages)
            _wake(self._to_read)
        if ends:
            raise failure(code_pb2.UNKNOWN, "the service ended the call without a status")
        return self._grant()

    def fail(self, error: Exception) -> None:
        """Ends the call, unless it has ended."""
        if self._is_over:
            return
        if self.is_committed and isinstance(error, Unprocessed):
            error = failure(code_pb2.UNAVAILABLE, "the service refused the call it had answered")
        self._error = error
        self._end()

    # Within.

    def _on_trailers(self, trailers: Head) -> None:
        if trailers.status != code_pb2.OK:
            self.pushback_ms = trailers.pushback_ms
            raise failure_of_trailers(trailers, self.head or trailers)
        if self._reader.partial:
            raise failure(code_pb2.INTERNAL, "the service answered OK in the midst of a message")
        if self.head is None:
            # All metadata of such an answer is trailing (gRPC over HTTP/2, "Trailers-Only").
            self.head = Head(size=0)
        self.trailers = trailers.metadata
        self._end()

    def _grant(self) -> int:
        """Counts how much further the window may open now: seldom, and then by much."""
        wanted = WINDOW_BYTES - self._unread - self._reader.partial
        is_waited_for = not self._messages and self._reader.missing > self._window
        if is_waited_for:
            wanted = max(wanted, self._reader.missing)
        grant = wanted - self._window
        if grant < WINDOW_BYTES >> 1 and not is_waited_for:
            return 0
        self._window += grant
        return grant

    def _on_sent(self) -> None:
        self._is_sending = False
        _wake(self._to_send)

    def _end(self) -> None:
        self._is_over = True
        self._is_sending = False
        _wake(self._to_read)
        _wake(self._to_send)

    async def _wait_to_read(self) -> None:
        self._to_read = self._loop.create_future()
        await self._to_read

    async def _wait_to_send(self) -> None:
        """Waits until there is a stream, and what was sent before has left."""
        while not self._is_over and (not self.stream_id or self._is_sending):
            self._to_send = self._loop.create_future()
            await self._to_send


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
