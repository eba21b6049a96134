"""HTTP/2 frames (RFC 9113) and gRPC messages in them that no client of gRPC would send.

frame = length (3 bytes), type, flags, stream (4 bytes), payload
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK, PADDED = 0x1, 0x4, 0x1, 0x8

_PATH = "/souk.product.v1.ProductService/GetProduct"
_STREAM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What is sent after the handshake of TLS, and the ends that may come of it.

    "goaway" or "closed" end the connection, "reset" the stream; a number is a code of gRPC, which
    are those of its own library: no handler of ours has begun. "silent" is what it forgives and
    ignores, other than RFC 9113 has it, or waits for the rest of, as long as the connection is.
    """

    sent: bytes
    ends: frozenset[str]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = _STREAM) -> bytes:
    """Writes a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


OPENING = PREFACE + frame(SETTINGS, stream=0)


def headers(
    *more: tuple[str, str], without: str = "", stream: int = _STREAM, flags: int = 0
) -> bytes:
    """Writes the header of a call, with more fields, or without one of the usual."""
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", _PATH),
        (":authority", "product"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    given = dict(more)
    kept = [(name, given.pop(name, value)) for name, value in fields if name != without]
    block = hpack.Encoder().encode([*kept, *given.items()])
    return frame(HEADERS, block, flags=END_HEADERS | flags, stream=stream)


def message(data: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """Writes the one message of a call and its end."""
    size = len(data) if length is None else length
    return frame(DATA, struct.pack(">BI", flag, size) + data, flags=END_STREAM)


def row(*sent: bytes, ends: Sequence[str], opening: bytes = OPENING) -> Frames:
    """Makes a row."""
    return Frames(sent=opening + b"".join(sent), ends=frozenset(ends))


_LOST = ("goaway", "closed")
_STREAM_LOST = (*_LOST, "reset")
# INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED
_INVALID, _TOO_MUCH, _UNKNOWN = "3", "8", "12"
# Of gRPC's own library: UNKNOWN for what is no call, UNAVAILABLE for a header it cannot read.
_NO_CALL, _NO_HEADER = "2", "14"
_SILENT = "silent"

FRAMES = {
    "no preface": row(headers(), ends=_LOST, opening=b""),
    "HTTP/1.1": row(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", ends=_LOST, opening=b""),
    "nothing but noise": row(bytes(range(256)), ends=_LOST, opening=PREFACE),
    "a frame of 16 MB": row(
        struct.pack(">I", 0xFFFFFF)[1:] + struct.pack(">BBI", DATA, 0, 1), b"a" * 70_000, ends=_LOST
    ),
    "settings of five bytes": row(frame(SETTINGS, b"\0" * 5, stream=0), ends=_LOST),
    "settings of a stream": row(frame(SETTINGS, stream=1), ends=_LOST),
    "an acknowledgement with content": row(
        frame(SETTINGS, b"\0" * 6, flags=ACK, stream=0), ends=_LOST
    ),
    "a window of more than 31 bits": row(
        frame(SETTINGS, struct.pack(">HI", 4, 0xFFFFFFFF), stream=0), ends=_LOST
    ),
    "a largest frame of nothing": row(
        frame(SETTINGS, struct.pack(">HI", 5, 0), stream=0), ends=_LOST
    ),
    "a ping of seven bytes": row(frame(PING, b"\0" * 7, stream=0), ends=_LOST),
    "a ping of a stream": row(frame(PING, b"\0" * 8, stream=1), ends=(*_LOST, _SILENT)),
    "data of no stream": row(frame(DATA, b"abc", stream=0), ends=(*_LOST, _SILENT)),
    "a header of no stream": row(headers(stream=0), ends=(*_LOST, _SILENT)),
    "a header of the server's stream": row(headers(stream=2), ends=(*_STREAM_LOST, _SILENT)),
    "a header that is no header": row(
        frame(HEADERS, b"\xff" * 40, flags=END_HEADERS), ends=(*_STREAM_LOST, _NO_HEADER)
    ),
    "a field of a table that is empty": row(
        frame(HEADERS, b"\xfe", flags=END_HEADERS), ends=(*_STREAM_LOST, _NO_HEADER)
    ),
    "a header that goes on elsewhere": row(
        frame(HEADERS, b"\x83"), frame(PING, b"\0" * 8, stream=0), ends=(*_LOST, _NO_HEADER)
    ),
    "the rest of a header that never began": row(
        frame(CONTINUATION, b"\x83", flags=END_HEADERS), ends=_LOST
    ),
    "more padding than frame": row(
        frame(HEADERS, b"\xff\x83", flags=END_HEADERS | PADDED), ends=(*_STREAM_LOST, _NO_HEADER)
    ),
    "a promise of the client's": row(
        frame(PUSH_PROMISE, b"\0\0\0\2\x83", flags=END_HEADERS), ends=(*_LOST, _SILENT)
    ),
    "an update of a window by nothing": row(frame(WINDOW_UPDATE, b"\0" * 4, stream=0), ends=_LOST),
    "no method": row(headers(without=":method"), message(b""), ends=(*_STREAM_LOST, _NO_CALL)),
    "another method": row(
        headers((":method", "GET")), message(b""), ends=(*_STREAM_LOST, _NO_CALL)
    ),
    "no path": row(headers(without=":path"), message(b""), ends=(*_STREAM_LOST, _NO_CALL)),
    "an empty path": row(headers((":path", "")), message(b""), ends=(*_STREAM_LOST, _UNKNOWN)),
    "a path that is a URL": row(
        headers((":path", "https://product/a")), message(b""), ends=(*_STREAM_LOST, _UNKNOWN)
    ),
    "a field in capitals": row(
        headers(("X-Note", "a")), message(b""), ends=(*_STREAM_LOST, _INVALID)
    ),
    "metadata of 16 KiB": row(
        headers(("x-note", "Z" * 16_000)), message(b""), ends=(*_STREAM_LOST, _TOO_MUCH)
    ),
    "a message that is longer than it is": row(
        headers(), message(b"ab", length=100), ends=(*_STREAM_LOST, _TOO_MUCH, _SILENT)
    ),
    "a message of 4 GB": row(
        headers(), message(b"ab", length=0xFFFFFFFF), ends=(*_STREAM_LOST, _TOO_MUCH, _SILENT)
    ),
    "a message that is packed by nobody": row(
        headers(), message(b"ab", flag=1), ends=(*_STREAM_LOST, _UNKNOWN, _INVALID)
    ),
    "a message with a flag of nobody's": row(
        headers(), message(b"ab", flag=7), ends=(*_STREAM_LOST, _UNKNOWN, _INVALID)
    ),
    "no message": row(headers(flags=END_STREAM), ends=(*_STREAM_LOST, _UNKNOWN, _SILENT)),
    "a timeout that is none": row(
        headers(("grpc-timeout", "soon")), message(b""), ends=(*_STREAM_LOST, _INVALID)
    ),
    "a coding of nobody's": row(
        headers(("grpc-encoding", "rot13")),
        message(b"ab", flag=1),
        ends=(*_STREAM_LOST, _UNKNOWN),
    ),
}
