"""What a service raises when a call cannot be answered, free of gRPC.

    DomainError                code
    ├── InvalidArgument        INVALID_ARGUMENT     the request is wrong, whatever the state
    ├── FailedPrecondition     FAILED_PRECONDITION  the state forbids it; repeating will not help
    ├── NotFound               NOT_FOUND            it is not there, or not the caller's
    ├── AlreadyExists          ALREADY_EXISTS       it is there already
    ├── Aborted                ABORTED              somebody else was faster; begin again
    ├── Unauthenticated        UNAUTHENTICATED      nobody is signed in
    ├── PermissionDenied       PERMISSION_DENIED    the caller may not
    ├── ResourceExhausted      RESOURCE_EXHAUSTED   too much is asked; later it may do
    ├── Unavailable            UNAVAILABLE          the service cannot answer now; repeat
    └── DeadlineExceeded       DEADLINE_EXCEEDED    the time was too short
    RemoteError                what another service answered

A service's own errors are subclasses that state the fact:

    class OutOfStock(FailedPrecondition):
        reason = "OUT_OF_STOCK"

    raise OutOfStock("only 2 are left", product_id=product_id)

`services.mesh.interceptors.errors` is the one place where they become a status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of one request field.

    `field` is the field's path in the contract, like `items[0].quantity`. `description` is for
    people. `reason` is a stable UPPER_SNAKE or rule id, for programs.
    """

    field: str
    description: str
    reason: str = ""


class DomainError(Exception):
    """A call that cannot be answered, for a reason that the caller may know.

    `message` is for people and is shown to the caller, so nothing secret or internal belongs in it.
    `violations` names the request fields at fault. `retry_after` says when a repetition may help.
    The keywords become `ErrorInfo.metadata` (google/rpc/error_details.proto).

    Never raised itself: raise a subclass of one of the kinds below.
    """

    code: ClassVar[str]
    """The name of the canonical status code, like `FAILED_PRECONDITION`."""

    reason: ClassVar[str]
    """`ErrorInfo.reason`; stands in the service's `ErrorReason` enum of the contract."""

    def __init__(
        self,
        message: str,
        /,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata: Mapping[str, str] = MappingProxyType(metadata)


class InvalidArgument(DomainError):
    """The request is wrong, whatever the state of the system."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_ARGUMENT"


class FailedPrecondition(DomainError):
    """The state of the system forbids it; repeating the call as it is will not help."""

    code = "FAILED_PRECONDITION"
    reason = "FAILED_PRECONDITION"


class NotFound(DomainError):
    """It does not exist, or it is not the caller's own."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"


class AlreadyExists(DomainError):
    """What should be created exists already."""

    code = "ALREADY_EXISTS"
    reason = "ALREADY_EXISTS"


class Aborted(DomainError):
    """Somebody else was faster, for example an etag is stale; the caller must begin again."""

    code = "ABORTED"
    reason = "ABORTED"


class Unauthenticated(DomainError):
    """Nobody is signed in, or the proof is not valid."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class ResourceExhausted(DomainError):
    """More was asked than can be given; `retry_after` says when to come back."""

    code = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(DomainError):
    """The service, or something that it needs, cannot answer now; repeating may help."""

    code = "UNAVAILABLE"
    reason = "UNAVAILABLE"


class DeadlineExceeded(DomainError):
    """The time given was too short; whether the work was done is not known."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class RemoteError(Exception):
    """What another service answered instead of a response.

    `code` is the name of the status code; `reason`, `metadata`, `violations` and `retry_after` come
    from its google.rpc details and are empty where it gave none. Made by `status.error_from_call`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        /,
        *,
        reason: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = metadata
        self.violations = tuple(violations)
        self.retry_after = retry_after
