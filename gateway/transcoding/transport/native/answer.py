"""Reads what header blocks of an answer say (gRPC over HTTP/2, "Responses").

    HEADERS :status content-type grpc-encoding metadata      DATA ...
    HEADERS grpc-status grpc-message grpc-status-details-bin metadata     (the trailers)

Both kinds are read into a Head; an answer without messages has all in one.
"""

import base64
import binascii
import contextlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

import hpack
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2
from hpack.exceptions import HPACKError

from gateway.transcoding.errors import HTTP_STATUS, Metadata, StatusError
from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.frames import ConnectionFault

_DETAILS: Final = "grpc-status-details-bin"
_PUSHBACK: Final = "grpc-retry-pushback-ms"
_CONTENT_TYPE: Final = "application/grpc"
# What is read here and is no metadata.
_RESERVED: Final = frozenset(
    {"content-type", "grpc-encoding", "grpc-accept-encoding", "grpc-message", "grpc-status"}
)
# github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_CODE_OF_HTTP: Final = {
    400: code_pb2.INTERNAL,
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.UNIMPLEMENTED,
    429: code_pb2.UNAVAILABLE,
    502: code_pb2.UNAVAILABLE,
    503: code_pb2.UNAVAILABLE,
    504: code_pb2.UNAVAILABLE,
}
# github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Errors"; any other is INTERNAL.
_CODE_OF_RESET: Final = {
    frames.REFUSED_STREAM: code_pb2.UNAVAILABLE,
    frames.CANCEL: code_pb2.CANCELLED,
    frames.ENHANCE_YOUR_CALM: code_pb2.RESOURCE_EXHAUSTED,
    frames.INADEQUATE_SECURITY: code_pb2.PERMISSION_DENIED,
}
_STATUS_DIGITS: Final = 2
_MAX_DIGITS: Final = 9
_NEVER: Final = -1
_ENTRY_BYTES: Final = 32
_MAX_REMEMBERED: Final = 512
_MAX_REMEMBERED_BYTES: Final = 1_024
_SIZE_UPDATE_MASK: Final = 0xE0
_SIZE_UPDATE: Final = 0x20
_MAX_LIST_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What one header block says. `size` is as RFC 9113 section 6.5.2 counts it."""

    size: int
    http_status: int | None = None
    is_grpc: bool = False
    encoding: str = "identity"
    status: int | None = None
    message: str = ""
    details: bytes | None = None
    pushback_ms: int | None = None
    """When a failed call may be made again; a negative number if it must not be."""
    metadata: Metadata = ()


def failure(code: int, message: str, trailers: Metadata = ()) -> StatusError:
    """Makes the error of a failed call."""
    return StatusError(status_pb2.Status(code=code, message=message), trailers=trailers)


def failure_of_reset(code: int) -> StatusError:
    """Makes the error of a call whose stream the peer has reset with an HTTP/2 error code."""
    return failure(_CODE_OF_RESET.get(code, code_pb2.INTERNAL), "the service reset the call")


def failure_of_http(head: Head) -> StatusError:
    """Makes the error of an answer that is not gRPC's."""
    if head.http_status is None:
        return failure(code_pb2.INTERNAL, "the service answered without an HTTP status")
    code = _CODE_OF_HTTP.get(head.http_status, code_pb2.UNKNOWN)
    return failure(code, f"the service answered with HTTP status {head.http_status}, not gRPC")


def failure_of_trailers(head: Head, first: Head) -> StatusError:
    """Makes the error of a call that ended with another status than OK, or with none."""
    if head.status is None:
        if first.http_status != 200 or not first.is_grpc:  # noqa: PLR2004  # OK
            return failure_of_http(first)
        return failure(code_pb2.UNKNOWN, "the service ended the call without a status")
    status = status_pb2.Status(code=head.status, message=head.message)
    if head.details is not None:
        with contextlib.suppress(DecodeError):
            # The status line wins over its copy in the details.
            status.details.extend(status_pb2.Status.FromString(head.details).details)
    initial = () if head is first else first.metadata
    return StatusError(status, initial=initial, trailers=head.metadata)


def read(pairs: list[tuple[bytes, bytes]]) -> Head:
    """Reads the fields of a header block."""
    known: dict[str, str] = {}
    metadata: list[tuple[str, str | bytes]] = []
    details: bytes | None = None
    for name_bytes, value_bytes in pairs:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        if name.startswith(":") or name in _RESERVED:
            known.setdefault(name, value)
        elif name.endswith("-bin"):
            # Several values may have been joined on the way.
            values = [_from_base64(part) for part in value.split(",")]
            if name == _DETAILS:
                details = values[0]
            metadata.extend((name, each) for each in values if each is not None)
        else:
            metadata.append((name, value))
    return Head(
        size=sum(len(name) + len(value) + _ENTRY_BYTES for name, value in pairs),
        http_status=_number(known.get(":status")),
        is_grpc=_is_grpc(known.get("content-type", "")),
        encoding=known.get("grpc-encoding", "identity"),
        status=_status(known.get("grpc-status")),
        message=unquote_to_bytes(known.get("grpc-message", "")).decode(errors="replace"),
        details=details,
        pushback_ms=_pushback(next((value for name, value in metadata if name == _PUSHBACK), None)),
        metadata=tuple(item for item in metadata if item[0] != _DETAILS),
    )


def _is_grpc(content_type: str) -> bool:
    rest = content_type.removeprefix(_CONTENT_TYPE)
    return rest != content_type and rest[:1] in ("", "+", ";")


def _number(text: str | None) -> int | None:
    if text is None or len(text) > _MAX_DIGITS or not text.isascii() or not text.isdecimal():
        return None
    return int(text)


def _status(text: str | None) -> int | None:
    """Reads `grpc-status`: a code that is none is UNKNOWN (gRPC over HTTP/2, "Status")."""
    if text is None:
        return None
    code = _number(text) if len(text) <= _STATUS_DIGITS else None
    return code if code in HTTP_STATUS else code_pb2.UNKNOWN


def _pushback(text: str | bytes | None) -> int | None:
    """Reads the wish of a server; what is no number is a wish not to be called (gRFC A6)."""
    if text is None:
        return None
    number = _number(str(text))
    return _NEVER if number is None else number


def _from_base64(text: str) -> bytes | None:
    text = text.strip().rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


class AnswerHeads(dict[bytes, Head]):
    """Reads the header blocks of one connection, in the order of their frames: `heads[block]`.

    We ask for no dynamic table, and then a block always means the same: most answers begin and end
    with the very same bytes, of which the meaning is remembered.
    """

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        super().__init__()
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_LIST_BYTES)

    def __missing__(self, block: bytes) -> Head:
        """Reads one block. Raises ConnectionFault if it is malformed."""
        try:
            pairs = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            raise ConnectionFault(
                frames.COMPRESSION_ERROR, "a header block is malformed"
            ) from error
        head = read([(name, value) for name, value in pairs])
        if self._decoder.header_table.dynamic_entries:
            # The peer has a table all the same, so that blocks may mean something else next time.
            self.clear()
        elif block and block[0] & _SIZE_UPDATE_MASK != _SIZE_UPDATE:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            if len(block) <= _MAX_REMEMBERED_BYTES:
                self[block] = head
        return head
