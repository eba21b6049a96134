"""Writes messages of strings alone as wire bytes, without a message.

    tag varint | length varint | UTF-8        (protobuf.dev/programming-guides/encoding)

So most requests are: the path names a resource, and there is no body.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.transcoding import fields
from gateway.transcoding.fields import FieldPath

_LENGTH_DELIMITED: Final = 2
_ONE_BYTE: Final = 0x80


class TextWire:
    """Writes the values of some string fields of a message."""

    def __init__(self, paths: Sequence[FieldPath]) -> None:
        """Takes the paths of the fields, each of one step."""
        self._tags = {path: _varint(path[0].number << 3 | _LENGTH_DELIMITED) for path in paths}
        # Without presence, an empty string is what the field has anyway.
        self._sparse = {path for path in paths if not path[0].has_presence}

    @classmethod
    def of(cls, paths: Sequence[FieldPath]) -> "TextWire | None":
        """Gives the writer of the fields; None if one is nested, or no string."""
        if all(len(path) == 1 and fields.is_text(path[0]) for path in paths):
            return cls(paths)
        return None

    def write(self, values: Iterable[tuple[FieldPath, str, Any]]) -> bytes:
        """Writes fields with their values, as the binder gives them."""
        wire = b""
        for path, _, text in values:
            data = text.encode()
            if data or path not in self._sparse:
                size = len(data)
                length = bytes((size,)) if size < _ONE_BYTE else _varint(size)
                wire += self._tags[path] + length + data
        return wire


def _varint(value: int) -> bytes:
    """Writes an unsigned number, seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= _ONE_BYTE:
        out.append(value & 0x7F | _ONE_BYTE)
        value >>= 7
    out.append(value)
    return bytes(out)
