"""What stops a request, as a google.rpc.Status and as HTTP.

    StatusError     a status of google.rpc with its HTTP form
      what the gateway refuses itself: `refuse`, `not_found`, `unsupported`, ...
      what a service answered: raised by a transport

The canonical HTTP codes are those of google/rpc/code.proto.
"""

import base64
import contextlib
import json
import math
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.transcoding.codec import Codec, NotConvertible

Headers = list[tuple[bytes, bytes]]
"""Header fields of HTTP/1.1, names in lower case."""

Metadata = tuple[tuple[str, str | bytes], ...]
"""gRPC metadata: names in lower case; those ending in `-bin` have bytes."""

_CODES: Final = (
    (code_pb2.OK, 200),
    (code_pb2.CANCELLED, 499),
    (code_pb2.UNKNOWN, 500),
    (code_pb2.INVALID_ARGUMENT, 400),
    (code_pb2.DEADLINE_EXCEEDED, 504),
    (code_pb2.NOT_FOUND, 404),
    (code_pb2.ALREADY_EXISTS, 409),
    (code_pb2.PERMISSION_DENIED, 403),
    (code_pb2.RESOURCE_EXHAUSTED, 429),
    (code_pb2.FAILED_PRECONDITION, 400),
    (code_pb2.ABORTED, 409),
    (code_pb2.OUT_OF_RANGE, 400),
    (code_pb2.UNIMPLEMENTED, 501),
    (code_pb2.INTERNAL, 500),
    (code_pb2.UNAVAILABLE, 503),
    (code_pb2.DATA_LOSS, 500),
    (code_pb2.UNAUTHENTICATED, 401),
)
HTTP_STATUS: Final[dict[int, int]] = dict(_CODES)
"""The HTTP status of each canonical code."""
_NAMES: Final[dict[int, str]] = {code: code_pb2.Code.Name(code) for code in HTTP_STATUS}

_ECHO: Final = 200
_RETRY_INFO: Final = "google.rpc.RetryInfo"


class StatusError(Exception):
    """A request that ends with a status other than OK."""

    def __init__(
        self,
        status: status_pb2.Status,
        *,
        http_status: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        initial: Metadata = (),
        trailers: Metadata = (),
    ) -> None:
        """`http_status` overrides the canonical one; `headers` are added to the answer.

        `initial` and `trailers` are the metadata of a failed call.
        """
        super().__init__(f"{code_name(status.code)}: {status.message}")
        self.status = status
        self.http_status = http_status or HTTP_STATUS.get(status.code, 500)
        self.headers = tuple(headers)
        self.initial = initial
        self.trailers = trailers


def code_name(code: int) -> str:
    """Names a canonical code; a number that is none keeps its digits."""
    return _NAMES.get(code) or str(code)


def refuse(field: str, description: str, *, http_status: int = 400) -> StatusError:
    """Makes the error for a request that breaks a rule.

    `field` is the proto path of the offending field, the name of a header, or empty for the body
    as a whole.
    """
    field, description = _echo(field), _echo(description)
    named = field or "body"
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
    return _error(
        code_pb2.INVALID_ARGUMENT,
        f"{named}: {description}",
        http_status=http_status,
        details=[error_details_pb2.BadRequest(field_violations=[violation])],
    )


def _echo(text: str) -> str:
    """Makes a client's own text safe to send back: valid and not long."""
    valid = text.encode(errors="replace").decode()
    return valid if len(valid) <= _ECHO else f"{valid[:_ECHO]}..."


def not_found() -> StatusError:
    """Makes the error for a path that no route takes."""
    return _error(code_pb2.NOT_FOUND, "no such path")


def method_not_allowed(allow: Iterable[str]) -> StatusError:
    """Makes the error for a path that takes other methods (RFC 9110 section 15.5.6)."""
    return _error(
        code_pb2.UNIMPLEMENTED,
        "the path does not take this method",
        http_status=405,
        headers=[(b"allow", ", ".join(sorted(allow)).encode())],
    )


def too_large(what: str, limit_bytes: int, *, http_status: int = 413) -> StatusError:
    """Makes the error for a request of which something exceeds a limit."""
    return _error(
        code_pb2.INVALID_ARGUMENT,
        f"{what} is larger than {limit_bytes} bytes",
        http_status=http_status,
    )


def too_slow() -> StatusError:
    """Makes the error for a client that does not send what it promised in time."""
    return _error(
        code_pb2.DEADLINE_EXCEEDED,
        "the request did not arrive in time",
        http_status=408,
    )


def internal() -> StatusError:
    """Makes the error for a fault of the gateway's own, or of an answer that is not readable."""
    return _error(code_pb2.INTERNAL, "internal error")


def _error(
    code: int,
    message: str,
    *,
    http_status: int | None = None,
    details: Iterable[Any] = (),
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> StatusError:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return StatusError(status, http_status=http_status, headers=headers)


def status_to_json(status: status_pb2.Status, codec: Codec) -> dict[str, Any]:
    """Writes a status as its proto3 JSON. A detail of an unknown type keeps its bytes."""
    return {
        "code": status.code,
        "message": status.message,
        "details": [_detail_to_json(detail, codec) for detail in status.details],
    }


def _detail_to_json(detail: any_pb2.Any, codec: Codec) -> Any:
    try:
        return json.loads(codec.to_json("google.protobuf.Any", detail.SerializeToString()))
    except NotConvertible:
        return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}


def problem_to_json(error: StatusError, codec: Codec) -> dict[str, Any]:
    """Writes an error as problem details (RFC 9457); code and details are extension members."""
    return {
        "type": "about:blank",
        "title": _title(error.http_status),
        "status": error.http_status,
        "detail": error.status.message,
        "code": code_name(error.status.code),
        "details": [_detail_to_json(detail, codec) for detail in error.status.details],
    }


def _title(http_status: int) -> str:
    # Of the canonical ones only 499 has no name in a standard.
    named = http_status in HTTPStatus.__members__.values()
    return HTTPStatus(http_status).phrase if named else "Client Closed Request"


def headers_of(error: StatusError) -> Headers:
    """Gives the header fields that belong to an error."""
    headers = list(error.headers)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        # RFC 9110 section 15.5.2 wants a challenge; RFC 6750 permits saying nothing more.
        headers.append((b"www-authenticate", b"Bearer"))
    retry = retry_seconds(error.status)
    if retry is not None:
        # RFC 9110 section 10.2.3 has whole seconds; earlier than asked would be refused again.
        headers.append((b"retry-after", str(math.ceil(retry)).encode()))
    return headers


def retry_seconds(status: status_pb2.Status) -> float | None:
    """Gives how long to wait before the call is made again, if the status tells (RetryInfo)."""
    for detail in status.details:
        if detail.TypeName() == _RETRY_INFO:
            with contextlib.suppress(DecodeError):
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                return max(float(delay.seconds + delay.nanos / 1e9), 0.0)
    return None
