"""The google.rpc details of a status, as they travel in the `grpc-status-details-bin` trailer.

ErrorInfo            every error: reason, domain, metadata
BadRequest           violations of a request's fields
PreconditionFailure  what the state forbids, of FAILED_PRECONDITION
RetryInfo            when to come back
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.mesh.errors import DomainError, FieldViolation, RemoteError

if TYPE_CHECKING:
    import grpc.aio

M = TypeVar("M", bound=Message)

DETAILS_KEY = "grpc-status-details-bin"

# A client takes 8 KiB of metadata by default, in which the details stand as base64.
_MAX_DETAILS_BYTES = 5_500


def status_from_error(error: DomainError, domain: str) -> status_pb2.Status:
    """Return the status of a domain error that the service of `domain` raised.

    If its violations are too many for a trailer, the last of them tells how many were left out.
    """
    kept = list(error.violations)
    status = _status(error, domain, kept)
    while status.ByteSize() > _MAX_DETAILS_BYTES and kept:
        kept = kept[: len(kept) * 3 // 4]
        left_out = len(error.violations) - len(kept)
        status = _status(error, domain, [*kept, FieldViolation("", f"and {left_out} more")])
    return status


def error_from_call(error: "grpc.aio.AioRpcError") -> RemoteError:
    """Return what another service answered, with its details if it gave any that can be read."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            status = _parsed(value)
    info = _detail(status, error_details_pb2.ErrorInfo)
    retry = _detail(status, error_details_pb2.RetryInfo)
    bad_request = _detail(status, error_details_pb2.BadRequest)
    return RemoteError(
        error.code().name,
        error.details() or "",
        reason=info.reason if info else "",
        metadata=dict(info.metadata) if info else {},
        violations=[
            FieldViolation(each.field, each.description, each.reason)
            for each in (bad_request.field_violations if bad_request else ())
        ],
        retry_after=retry.retry_delay.ToTimedelta() if retry else None,
    )


def code_number(name: str) -> int:
    """Return the number of the status code called `name`."""
    return int(code_pb2.Code.Value(name))


def _status(
    error: DomainError, domain: str, violations: Sequence[FieldViolation]
) -> status_pb2.Status:
    status = status_pb2.Status(code=code_number(error.code), message=error.message)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata)
    ]
    if error.code == "FAILED_PRECONDITION":
        details.append(_precondition_failure(error, violations))
    elif violations:
        details.append(_bad_request(violations))
    if error.retry_after is not None:
        details.append(_retry_info(error.retry_after))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _bad_request(violations: Iterable[FieldViolation]) -> error_details_pb2.BadRequest:
    bad_request = error_details_pb2.BadRequest()
    for each in violations:
        bad_request.field_violations.add(
            field=each.field, description=each.description, reason=each.reason
        )
    return bad_request


def _precondition_failure(
    error: DomainError, violations: Iterable[FieldViolation]
) -> error_details_pb2.PreconditionFailure:
    failure = error_details_pb2.PreconditionFailure()
    for each in violations:
        failure.violations.add(
            type=each.reason or error.reason, subject=each.field, description=each.description
        )
    if not failure.violations:
        failure.violations.add(type=error.reason, description=error.message)
    return failure


def _retry_info(after: timedelta) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromTimedelta(after)
    return info


def _parsed(data: Any) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(data)
    except DecodeError:
        return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[M]) -> M | None:
    """Return the first detail of this kind, None if there is none that can be read."""
    for packed in status.details:
        if packed.TypeName() == kind.DESCRIPTOR.full_name:
            try:
                return kind.FromString(packed.value)
            except DecodeError:
                return None
    return None
