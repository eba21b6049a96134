"""One try of a unary call: a stream of one connection, and the answer as it comes.

waiting (for a stream) -> open -> headers -> message -> trailers
        |                   `------- fails at any point -------'
"""

from dataclasses import dataclass
from typing import Protocol

from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Reply
from gateway.transcoding.transport.native.answer import (
    Head,
    failure,
    failure_of_http,
    failure_of_trailers,
)
from gateway.transcoding.transport.native.exchange import WINDOW_BYTES, Carrier, Unprocessed
from gateway.transcoding.transport.native.flow_control import spent
from gateway.transcoding.transport.native.message import MessageReader, whole
from gateway.transcoding.transport.native.peer_settings import MAX_HEADER_LIST_BYTES

_INFORMATIONAL = range(100, 200)


class Caller(Protocol):
    """Whose attempt it is: told once, how it ended."""

    def answered(self, reply: Reply) -> None:
        """Takes the answer."""
        ...

    def failed(self, error: StatusError | Unprocessed) -> None:
        """Takes what the attempt failed by."""
        ...


@dataclass(slots=True, eq=False)
class Attempt:
    """What is sent, and what has come. Its connection feeds it."""

    path: str
    block: bytes
    """The timeout and the metadata, as HPACK."""
    fields: int
    """How many they are."""
    body: bytes
    """The message with its prefix."""
    caller: Caller
    limit_bytes: int
    """What the answer may measure."""
    carrier: Carrier | None = None
    stream_id: int = 0
    window: int = WINDOW_BYTES
    """What the peer may still send."""
    head: Head | None = None
    pushback_ms: int | None = None
    """What the failed call's trailers say about retrying."""
    _message: bytes | None = None
    _reader: MessageReader | None = None
    """Of a message that does not come at once."""

    @property
    def is_committed(self) -> bool:
        """Whether the answer had begun, so that the call must not be repeated (gRFC A6)."""
        return self.head is not None

    def fail(self, error: StatusError | Unprocessed) -> None:
        """Ends the attempt."""
        self.caller.failed(error)

    def abandon(self) -> None:
        """Tells the peer that nobody waits any more."""
        if self.carrier is not None:
            self.carrier.cancel(self)

    def on_open(self) -> None:
        """Has all it sends in its body."""

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

    def on_data(self, data: bytes, size: int, *, ends: bool) -> int:
        """Takes a piece of the message, and returns by how much to open the window.

        Raises StatusError if the call failed by it, ConnectionFault if the peer must not send it.
        """
        self.window = spent(self.window, size)
        if self.head is None:
            raise failure(code_pb2.INTERNAL, "the service answered without headers")
        grant = 0
        if self._message is None and self._reader is None:
            self._message = whole(data, self.limit_bytes)
        elif self._message is not None and data:
            raise failure(code_pb2.INTERNAL, "the service answered more than one message")
        if self._message is None:
            grant = self._gather(data, self.head.encoding)
        if ends:
            raise failure(code_pb2.UNKNOWN, "the service ended the call without a status")
        return grant

    def _gather(self, data: bytes, encoding: str) -> int:
        """Takes a piece of a message that does not come at once."""
        if self._reader is None:
            self._reader = MessageReader(encoding, self.limit_bytes)
        self._reader.feed(data)
        self._message = self._reader.message
        # One message is all there may be; the window opens for a large one, and for nothing else.
        grant = max(0, self._reader.missing - self.window)
        self.window += grant
        return grant

    def _on_trailers(self, trailers: Head) -> None:
        first = self.head or trailers
        if trailers.status != code_pb2.OK:
            self.pushback_ms = trailers.pushback_ms
            raise failure_of_trailers(trailers, first)
        if self._message is None:
            raise failure(code_pb2.INTERNAL, "the service answered OK without a message")
        self.caller.answered(
            Reply(
                message=self._message,
                headers=first.metadata,
                trailers=trailers.metadata,
            )
        )
