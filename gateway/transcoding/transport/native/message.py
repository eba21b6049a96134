"""Messages on the wire (gRPC over HTTP/2, "Length-Prefixed-Message").

compressed 8 | length 32 | message
"""

import struct
import zlib
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.transport.native.answer import failure

PREFIX_BYTES: Final = 5
MAX_BYTES: Final = 4 * 1024 * 1024
"""What one message of an answer may measure, compressed or not, if nobody says otherwise: the
default of every gRPC library."""

_PREFIX: Final = struct.Struct(">BI")
# zlib: the header of gzip, or of zlib itself.
_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

ACCEPTED: Final = "identity,deflate,gzip"
"""What `grpc-accept-encoding` says."""


def framed(message: bytes, limit_bytes: int | None = None) -> bytes:
    """Writes a message, uncompressed. Raises StatusError for one above the limit."""
    if limit_bytes is not None and len(message) > limit_bytes:
        raise failure(
            code_pb2.RESOURCE_EXHAUSTED, f"the request is larger than {limit_bytes} bytes"
        )
    return _PREFIX.pack(0, len(message)) + message


def whole(data: bytes, limit_bytes: int) -> bytes | None:
    """Gives the message that `data` is, prefix and all; None if it is none, or a compressed one.

    Raises StatusError for one above the limit.
    """
    if len(data) < PREFIX_BYTES:
        return None
    compressed, length = _PREFIX.unpack_from(data)
    if compressed or len(data) != PREFIX_BYTES + length:
        return None
    if length > limit_bytes:
        raise _too_large(limit_bytes)
    return data[PREFIX_BYTES:]


class MessageReader:
    """Reads the one message of an answer from pieces of any size."""

    __slots__ = ("_buffer", "_encoding", "_limit", "message")

    def __init__(self, encoding: str, limit_bytes: int = MAX_BYTES) -> None:
        """`limit_bytes` is what the message may measure."""
        self._encoding = encoding
        self._limit = limit_bytes
        self._buffer: bytearray | None = None
        self.message: bytes | None = None

    def feed(self, data: bytes) -> None:
        """Takes a piece. Raises StatusError for a message that is too large, or for two."""
        if data:
            self._gather(data)

    @property
    def missing(self) -> int:
        """How many bytes are to come of what has begun."""
        if self._buffer is None:
            return 0
        if len(self._buffer) < PREFIX_BYTES:
            return PREFIX_BYTES - len(self._buffer)
        length: int = _PREFIX.unpack_from(self._buffer)[1]
        return PREFIX_BYTES + length - len(self._buffer)

    def _gather(self, data: bytes) -> None:
        if self.message is not None:
            raise failure(code_pb2.INTERNAL, "the service answered more than one message")
        if self._buffer is None:
            self._buffer = bytearray()
        self._buffer += data
        if len(self._buffer) < PREFIX_BYTES:
            return
        compressed, length = _PREFIX.unpack_from(self._buffer)
        if length > self._limit:
            raise _too_large(self._limit)
        missing = PREFIX_BYTES + length - len(self._buffer)
        if missing < 0:
            raise failure(code_pb2.INTERNAL, "the service answered more than one message")
        if missing == 0:
            message = bytes(memoryview(self._buffer)[PREFIX_BYTES:])
            self.message = (
                decompressed(message, self._encoding, self._limit) if compressed else message
            )
            self._buffer = None


class MessagesReader:
    """Reads the messages of a stream of answers from pieces of any size."""

    __slots__ = ("_limit", "_parts", "missing", "partial")

    def __init__(self, limit_bytes: int = MAX_BYTES) -> None:
        """`limit_bytes` is what each of them may measure."""
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self.partial = 0
        """How many bytes have come of a message that has begun."""
        self.missing = 0
        """How many are to come, of its prefix or of itself."""

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Gives the messages that are complete, and whether each is compressed.

        Raises StatusError for one that is too large.
        """
        if self._parts:
            if len(data) < self.missing:
                self._parts.append(data)
                self.partial += len(data)
                self.missing -= len(data)
                return []
            data = b"".join((*self._parts, data))
            self._parts.clear()
        found: list[tuple[bytes, bool]] = []
        at, end, needed = 0, len(data), PREFIX_BYTES
        while at + PREFIX_BYTES <= end:
            compressed, length = _PREFIX.unpack_from(data, at)
            if length > self._limit:
                raise _too_large(self._limit)
            needed = PREFIX_BYTES + length
            if at + needed > end:
                break
            found.append((data[at + PREFIX_BYTES : at + needed], compressed != 0))
            at += needed
            needed = PREFIX_BYTES
        self.partial = end - at
        self.missing = needed - self.partial if self.partial else 0
        if self.partial:
            self._parts.append(data[at:])
        return found


def decompressed(message: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Gives what a compressed message holds. Raises StatusError."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise failure(code_pb2.INTERNAL, "the service compressed in a way it did not name")
    decompressor = zlib.decompressobj(bits)
    try:
        plain = decompressor.decompress(message, limit_bytes + 1)
    except zlib.error:
        raise failure(code_pb2.INTERNAL, "the answer is not what its compression says") from None
    if len(plain) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decompressor.eof:
        raise failure(code_pb2.INTERNAL, "the answer is not what its compression says")
    return plain


def _too_large(limit_bytes: int) -> Exception:
    return failure(
        code_pb2.RESOURCE_EXHAUSTED, f"the answer is larger than the limit of {limit_bytes} bytes"
    )
