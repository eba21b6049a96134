"""Splits bodies into the messages they hold, and frames messages.

flags    1 byte     COMPRESSED and what a protocol adds
length   4 bytes    big-endian
message  as many bytes
"""

import struct
from collections.abc import Iterator
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.rpc.failure import failed, message_too_large

COMPRESSED: Final = 0x01

_HEAD: Final = struct.Struct(">BI")

Envelope = tuple[int, bytes]
"""Flags and message."""


def framed(flags: int, message: bytes) -> bytes:
    """Frames a message."""
    return _HEAD.pack(flags, len(message)) + message


class EnvelopeReader:
    """Splits a body that comes piece by piece."""

    def __init__(self, limit_bytes: int) -> None:
        """The limit is for each message as it is framed."""
        self._buffer = bytearray()
        self._limit = limit_bytes

    def feed(self, piece: bytes) -> Iterator[Envelope]:
        """Gives the messages that are whole. Raises StatusError for one above the limit."""
        self._buffer += piece
        at = 0
        while len(self._buffer) - at >= _HEAD.size:
            flags, length = _HEAD.unpack_from(self._buffer, at)
            if length > self._limit:
                raise message_too_large(self._limit)
            end = at + _HEAD.size + length
            if len(self._buffer) < end:
                break
            yield flags, bytes(self._buffer[at + _HEAD.size : end])
            at = end
        del self._buffer[:at]

    def finish(self) -> None:
        """Raises StatusError if the body ended within a message."""
        if self._buffer:
            raise failed(code_pb2.INVALID_ARGUMENT, "the last message is cut off")
