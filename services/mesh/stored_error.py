"""Domain errors as JSON, so that a repeated call can be given the very same answer."""

import json
from datetime import timedelta

from services.mesh import errors
from services.mesh.errors import DomainError, FieldViolation

_KINDS: dict[str, type[DomainError]] = {
    kind.code: kind
    for kind in (
        errors.InvalidArgument,
        errors.FailedPrecondition,
        errors.NotFound,
        errors.AlreadyExists,
        errors.Aborted,
        errors.Unauthenticated,
        errors.PermissionDenied,
        errors.ResourceExhausted,
        errors.Unavailable,
        errors.DeadlineExceeded,
    )
}


def json_from_error(error: DomainError) -> str:
    """Returns all that the caller is told of `error`."""
    return json.dumps(
        {
            "code": error.code,
            "reason": error.reason,
            "message": error.message,
            "metadata": dict(error.metadata),
            "violations": [
                [each.field, each.description, each.reason] for each in error.violations
            ],
            "retry_after_seconds": error.retry_after and error.retry_after.total_seconds(),
        }
    )


def error_from_json(text: str) -> DomainError:
    """Returns an error of the same code, reason and content; its class is the kind's, by code."""
    stored = json.loads(text)
    kind = _KINDS[stored["code"]]
    with_reason: type[DomainError] = type(kind.__name__, (kind,), {"reason": stored["reason"]})
    seconds = stored["retry_after_seconds"]
    return with_reason(
        stored["message"],
        violations=[FieldViolation(*each) for each in stored["violations"]],
        retry_after=None if seconds is None else timedelta(seconds=seconds),
        **stored["metadata"],
    )
