"""Envelopes of gRPC-Web and Connect, written and read byte by byte."""

import struct
from typing import Any

from tests.unit.gateway.protos import everything


def framed(data: bytes, flags: int = 0) -> bytes:
    """Frames a message: flags, length, bytes."""
    return struct.pack(">BI", flags, len(data)) + data


def split(body: bytes) -> list[tuple[int, bytes]]:
    """Gives flags and bytes of each message."""
    found = []
    while body:
        flags, length = struct.unpack_from(">BI", body)
        assert len(body) >= 5 + length
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def trailers(text: bytes) -> dict[str, str]:
    """Reads the trailers of gRPC-Web."""
    return dict(line.split(": ", 1) for line in text.decode().split("\r\n") if line)


def message(name: str, /, **values: Any) -> Any:
    """Makes a message of everything.proto."""
    return everything().message_class(f"test.v1.{name}")(**values)


def wire(name: str, /, **values: Any) -> bytes:
    """Makes the wire bytes of a message of everything.proto."""
    return bytes(message(name, **values).SerializeToString())


def names(messages: list[tuple[int, bytes]]) -> list[str]:
    """Reads messages as resources and gives their names."""
    read = everything().message_class("test.v1.Resource").FromString
    return [read(data).name for _, data in messages]  # type: ignore[attr-defined]  # of its field
