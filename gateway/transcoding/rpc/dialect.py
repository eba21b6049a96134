"""What gRPC-Web and Connect's streams have in common: messages in envelopes, packed or not.

coding    of all messages of a call, agreed on by two header fields
envelope  says of its message whether it is packed
end       the last envelope tells how the call went; the answer is 200 in any case
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar

from google.rpc import code_pb2

from gateway.transcoding.errors import Headers, Metadata, StatusError
from gateway.transcoding.http import HttpResponse, header
from gateway.transcoding.rpc import call_metadata, message_coding
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.envelope import COMPRESSED, framed
from gateway.transcoding.rpc.failure import failed
from gateway.transcoding.rpc.message_codec import Format
from gateway.transcoding.rpc.message_coding import IDENTITY, KNOWN, MessageCoding


class Dialect(ABC):
    """How one call's messages are written. Made anew for each call."""

    ENCODING: ClassVar[bytes]
    """The header field that names the coding of messages."""
    ACCEPT_ENCODING: ClassVar[bytes]
    """The header field that lists the codings of messages that are taken."""
    UNKNOWN_FLAGS: ClassVar["code_pb2.Code"]
    """The code that an envelope is refused with whose flags are not known."""

    def __init__(self, endpoint: Endpoint, form: Format, content_type: str) -> None:
        """`content_type` is that of the answer."""
        self.endpoint = endpoint
        self._form = form
        self._content_type = content_type.encode()
        limit = endpoint.shared.limits.body_bytes
        # Failures are told of without any, until one is agreed on.
        self._coding = MessageCoding(incoming=IDENTITY, outgoing=IDENTITY, limit_bytes=limit)

    def agree(self, headers: Headers) -> None:
        """Agrees with the client on how messages are packed. Raises StatusError."""
        self._coding = message_coding.agreed(
            header(headers, self.ENCODING),
            header(headers, self.ACCEPT_ENCODING),
            packs=self.endpoint.packs,
            limit_bytes=self.endpoint.shared.limits.body_bytes,
        )

    @abstractmethod
    def timeout_seconds(self, headers: Headers) -> float | None:
        """Gives the time that the call has. Raises StatusError."""

    def pieces(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Gives a request's body as envelopes."""
        return chunks

    def whole(self, body: bytes) -> bytes:
        """Does the same for a body that has arrived."""
        return body

    def read(self, flags: int, message: bytes) -> bytes:
        """Gives the wire bytes of an envelope's message. Raises StatusError."""
        if flags & ~COMPRESSED:
            raise failed(self.UNKNOWN_FLAGS, "an envelope has flags that are not known")
        unpacked = self._coding.unpack(flags, message)
        codec = self.endpoint.shared.messages
        return codec.read(self.endpoint.method.input, unpacked, self._form)

    def head(self, metadata: Metadata) -> HttpResponse:
        """Begins an answer, without a body yet."""
        headers = call_metadata.to_headers(metadata)
        headers.append((b"content-type", self._content_type))
        if self._coding.outgoing != IDENTITY:
            headers.append((self.ENCODING, self._coding.outgoing.encode()))
        headers.append((self.ACCEPT_ENCODING, ",".join(KNOWN).encode()))
        return HttpResponse(status=200, headers=headers, rpc=self.endpoint.method.full_name)

    def write(self, wire: bytes) -> bytes:
        """Frames a message. Raises StatusError if it is none."""
        codec = self.endpoint.shared.messages
        message = codec.write(self.endpoint.method.output, wire, self._form)
        return framed(*self._coding.pack(message))

    @abstractmethod
    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        """Frames how the call ended."""
