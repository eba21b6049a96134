"""The frames of HTTP/2 (RFC 9113 sections 4 and 6), as bytes and back.

     length 24 | type 8 | flags 8 | stream 32 | payload

FrameReader cuts what arrives into frames; header blocks come whole, whatever frames they took.
"""

import struct
from collections.abc import Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC

MAX_FRAME_BYTES: Final = 16_384
"""The payload every peer may send, and we never ask for more (RFC 9113 section 4.2)."""

MAX_STREAM_ID: Final = 2**31 - 1

_OF_BLOCKS: Final = frozenset((HEADERS, CONTINUATION))
# With END_HEADERS alone of these, a header block is the payload of one frame.
_SHAPE: Final = END_HEADERS | PADDED | PRIORITY
_MAX_BLOCK_BYTES: Final = 65_536
_PRIORITY_BYTES: Final = 5
# Length and type, flags, stream.
_HEAD: Final = struct.Struct(">IBI")
_HEAD_BYTES: Final = 9
_MOST: Final = MAX_FRAME_BYTES << 8 | 0xFF
_WORD: Final = struct.Struct(">I")

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class ConnectionFault(Exception):
    """What the peer did ends the connection; `code` is one of RFC 9113 section 7."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Writes one frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def headers(stream_id: int, block: bytes, max_bytes: int) -> bytes:
    """Writes a header block, in frames of at most `max_bytes`, without the end of the stream."""
    if len(block) <= max_bytes:
        return frame(HEADERS, END_HEADERS, stream_id, block)
    parts = [block[at : at + max_bytes] for at in range(0, len(block), max_bytes)]
    last = len(parts) - 1
    return b"".join(
        frame(
            CONTINUATION if number else HEADERS,
            END_HEADERS if number == last else 0,
            stream_id,
            part,
        )
        for number, part in enumerate(parts)
    )


def rst_stream(stream_id: int, code: int) -> bytes:
    """Writes that a stream ends now."""
    return frame(RST_STREAM, 0, stream_id, _WORD.pack(code))


def window_update(stream_id: int, increment: int) -> bytes:
    """Writes that so many more bytes may be sent on a stream, or on all with stream 0."""
    return frame(WINDOW_UPDATE, 0, stream_id, _WORD.pack(increment))


def goaway(code: int) -> bytes:
    """Writes that no stream of the peer's was taken, and none will be."""
    return frame(GOAWAY, 0, 0, _WORD.pack(0) + _WORD.pack(code))


def word(payload: bytes, at: int = 0) -> int:
    """Reads 32 bits. Raises ConnectionFault if they are not all there."""
    if len(payload) < at + _WORD.size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "a frame is too short")
    found: int = _WORD.unpack_from(payload, at)[0]
    return found


def unpadded(payload: bytes) -> bytes:
    """Takes the padding off (RFC 9113 section 6.1). Raises ConnectionFault."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, "the padding is longer than the frame")
    return payload[1 : len(payload) - payload[0]]


class FrameReader:
    """Cuts bytes into frames, which may begin and end anywhere."""

    __slots__ = ("_block", "_block_flags", "_block_stream", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields the frames that are complete. Raises ConnectionFault."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        unpack = _HEAD.unpack_from
        while (begin := at + _HEAD_BYTES) <= end:
            word, flags, stream_id = unpack(data, at)
            if word > _MOST:
                raise ConnectionFault(FRAME_SIZE_ERROR, "a frame is larger than allowed")
            stop = begin + (word >> 8)
            if stop > end:
                break
            kind, payload = word & 0xFF, data[begin:stop]
            stream_id &= MAX_STREAM_ID
            at = stop
            is_whole = kind not in _OF_BLOCKS or (kind == HEADERS and flags & _SHAPE == END_HEADERS)
            if is_whole and self._block is None:
                yield kind, flags, stream_id, payload
                continue
            block = self._join(kind, flags, stream_id, payload)
            if block is not None:
                yield block
        self._rest = data[at:]

    def _join(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        """Gives the header block that this frame completes (RFC 9113 section 6.10)."""
        if self._block is None:
            if kind == CONTINUATION:
                raise ConnectionFault(PROTOCOL_ERROR, "a continuation of nothing")
            block = unpadded(payload) if flags & PADDED else payload
            if flags & PRIORITY:
                block = block[_PRIORITY_BYTES:]
            if flags & END_HEADERS:
                return HEADERS, flags, stream_id, block
            self._block, self._block_stream, self._block_flags = bytearray(block), stream_id, flags
            return None
        if kind != CONTINUATION or stream_id != self._block_stream:
            raise ConnectionFault(PROTOCOL_ERROR, "a header block is interrupted")
        self._block += payload
        if len(self._block) > _MAX_BLOCK_BYTES:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "a header block is too large")
        if not flags & END_HEADERS:
            return None
        block, self._block = bytes(self._block), None
        return HEADERS, self._block_flags, stream_id, block
