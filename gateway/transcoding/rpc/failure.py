"""Gives the gateway's own refusals the codes that clients of RPCs know them by.

HTTP has statuses of its own for a body that is too large (413) or in an unknown coding (415);
gRPC's codes for these are RESOURCE_EXHAUSTED and UNIMPLEMENTED (grpc/doc/statuscodes.md).
"""

from collections.abc import Iterable
from typing import Final

from google.rpc import code_pb2, status_pb2

from gateway.transcoding.errors import StatusError

_CODES: Final = {
    413: code_pb2.RESOURCE_EXHAUSTED,
    415: code_pb2.UNIMPLEMENTED,
    431: code_pb2.RESOURCE_EXHAUSTED,
}


def as_rpc(error: StatusError) -> StatusError:
    """Gives the error as one of RPC: by its code alone."""
    status = error.status
    code = _CODES.get(error.http_status)
    if code is not None:
        status = status_pb2.Status(code=code, message=status.message)
    return StatusError(
        status, headers=error.headers, initial=error.initial, trailers=error.trailers
    )


def failed(code: "code_pb2.Code", message: str) -> StatusError:
    """Makes an error of a code."""
    return StatusError(status_pb2.Status(code=code, message=message))


def message_too_large(limit_bytes: int) -> StatusError:
    """Makes the error for a message above the limit."""
    return failed(code_pb2.RESOURCE_EXHAUSTED, f"a message is larger than {limit_bytes} bytes")


def not_one_message(count: int) -> StatusError:
    """Makes the error for a call of one message that came with none, or with more."""
    found = "no message" if count == 0 else "more than one message"
    return failed(code_pb2.UNIMPLEMENTED, f"expected one message, got {found}")


def unknown_compression(name: str, known: Iterable[str]) -> StatusError:
    """Makes the error for messages in a coding that is not known."""
    shown = name if name.isascii() and name.isprintable() else "it"
    return failed(
        code_pb2.UNIMPLEMENTED,
        f"compression: {shown[:40]} is not supported, {', '.join(known)} are",
    )
