"""Writes the header block of a request (RFC 7541), most of it prepared beforehand.

    :method :scheme | :path :authority te content-type ... | grpc-timeout, metadata
      static table  |   peer's dynamic table: 1 byte each  |  literals, never in a table

Only constants and paths are put into the table, and only while they fit, so nothing is ever
evicted and an index never goes stale. Credentials are marked never to be indexed by anyone.
"""

import base64
import re
from functools import lru_cache
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata
from gateway.transcoding.transport.native.answer import failure

_STATIC_ENTRIES: Final = 61
_ENTRY_BYTES: Final = 32
_TABLE_BYTES: Final = 4_096
# Of :method, :scheme, the name of :path, and grpc-timeout.
_PSEUDO_BYTES: Final = 200
_METHOD_POST: Final = b"\x83"
_SCHEME: Final = {"http": b"\x86", "https": b"\x87"}
_LITERAL: Final = 0x00
_NEVER_INDEXED: Final = 0x10
_SIZE_UPDATE: Final = 0x20
_INCREMENTAL: Final = 0x40
_INDEXED: Final = 0x80

_LONG: Final = 0x7F
_SIZES: Final = tuple(bytes((size,)) for size in range(_LONG))
"""The sizes of short strings, as they are written."""

# gRPC over HTTP/2: Header-Name.
_is_key: Final = re.compile(r"[0-9a-z_.\-]+").fullmatch
_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

_MAX_TIMEOUT_DIGITS: Final = 10**8
_TIMEOUT_UNITS: Final = ((1e6, "u"), (1e3, "m"), (1.0, "S"), (1 / 60, "M"), (1 / 3600, "H"))


def _integer(value: int, bits: int, pattern: int) -> bytes:
    """Writes an integer with a prefix of so many bits (RFC 7541 section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((pattern | value,))
    out = bytearray((pattern | limit,))
    value -= limit
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(data: bytes) -> bytes:
    """Writes a string as it is (RFC 7541 section 5.2)."""
    return _integer(len(data), 7, 0) + data


@lru_cache(1024)
def _name(key: str) -> bytes:
    """Writes the name of a field. Raises StatusError if it is none."""
    if not _is_key(key):
        raise failure(code_pb2.INTERNAL, "a metadata key is malformed")
    pattern = _NEVER_INDEXED if key in _SECRET else _LITERAL
    return bytes((pattern,)) + _text(key.encode())


def fields(metadata: Metadata) -> bytes:
    """Writes metadata. Raises StatusError if something of it is malformed."""
    written: list[bytes] = []
    for key, value in metadata:
        if isinstance(value, bytes):
            # Padding is allowed, and left out by grpc itself.
            data = base64.b64encode(value).rstrip(b"=")
        elif value.isascii() and (value.isprintable() or not value):
            data = value.encode()
        else:
            raise failure(code_pb2.INTERNAL, f"the metadata {key} is malformed")
        size = len(data)
        written += (_name(key), _SIZES[size] if size < _LONG else _integer(size, 7, 0), data)
    return b"".join(written)


def timeout(seconds: float) -> bytes:
    """Writes `grpc-timeout`, never as less than nothing."""
    return _timeout(max(int(seconds * 1e3), 0)) if seconds >= 1 else _timeout_text(seconds)


@lru_cache(4096)
def _timeout(milliseconds: int) -> bytes:
    return _timeout_text(milliseconds / 1e3)


def _timeout_text(seconds: float) -> bytes:
    for scale, unit in _TIMEOUT_UNITS:
        if seconds * scale < _MAX_TIMEOUT_DIGITS:
            return fields((("grpc-timeout", f"{max(int(seconds * scale), 1)}{unit}"),))
    return b""


class RequestHeads:
    """Begins the header blocks of one connection, whose order is the order of its frames."""

    def __init__(self, scheme: str, constants: tuple[tuple[str, str], ...]) -> None:
        """`constants` come with every request, from `:authority` on."""
        self._start = _METHOD_POST + _SCHEME[scheme]
        self._constants = tuple((name.encode(), value.encode()) for name, value in constants)
        self._positions: dict[tuple[bytes, bytes], int] = {}
        self._heads: dict[str, bytes] = {}
        self._room = _TABLE_BYTES
        self._size = _PSEUDO_BYTES + sum(
            len(name) + len(value) + _ENTRY_BYTES for name, value in self._constants
        )
        self._update = b""

    def limit(self, table_size: int) -> None:
        """Takes another SETTINGS_HEADER_TABLE_SIZE of the peer's."""
        if table_size >= _TABLE_BYTES:
            return
        # To stay right whatever was put into it, and simple: such a peer gets literals.
        self._positions.clear()
        self._heads.clear()
        self._room = 0
        self._update = bytes((_SIZE_UPDATE,))

    def size(self, path: str, block: bytes, count: int) -> int:
        """Measures a header block of `count` fields of metadata, not less than the peer will."""
        return self._size + len(path) + len(block) + _ENTRY_BYTES * count

    def begin(self, path: str) -> bytes:
        """Gives all of a request's header block but the timeout and metadata."""
        head = self._heads.get(path) or self._build(path)
        if self._update:
            head, self._update = self._update + head, b""
        return head

    def _build(self, path: str) -> bytes:
        out = bytearray(self._start)
        known = len(self._positions)
        for name, value in ((b":path", path.encode()), *self._constants):
            out += self._field(name, value)
        if len(self._positions) == known:
            # What was put into the table has moved the indices; they stand from the next time on.
            self._heads[path] = bytes(out)
        else:
            self._heads.clear()
        return bytes(out)

    def _field(self, name: bytes, value: bytes) -> bytes:
        position = self._positions.get((name, value))
        if position is not None:
            newest = len(self._positions) - 1
            return _integer(_STATIC_ENTRIES + 1 + newest - position, 7, _INDEXED)
        size = len(name) + len(value) + _ENTRY_BYTES
        if size > self._room:
            return bytes((_LITERAL,)) + _text(name) + _text(value)
        self._room -= size
        self._positions[name, value] = len(self._positions)
        return bytes((_INCREMENTAL,)) + _text(name) + _text(value)
