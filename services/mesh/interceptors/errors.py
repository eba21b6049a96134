"""Turns what a handler raises into a status; the one place where that is done.

DomainError                             its code, with google.rpc details
UNAVAILABLE, DEADLINE_EXCEEDED or
  RESOURCE_EXHAUSTED of another service the same code
anything else                           INTERNAL with an error id, under which it is logged
"""

import secrets
from datetime import timedelta
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog

from services.mesh.errors import (
    DeadlineExceeded,
    DomainError,
    RemoteError,
    ResourceExhausted,
    Unavailable,
)
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method
from services.mesh.status import DETAILS_KEY, error_from_call, status_from_error

# Longer than this nobody waits within a call.
_SOON = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


class Internal(DomainError):
    """Something went wrong that the caller can do nothing about; the log knows more."""

    code = "INTERNAL"
    reason = "INTERNAL"


class DependencyUnavailable(Unavailable):
    """A service behind this one does not answer."""

    reason = "DEPENDENCY_UNAVAILABLE"


class DependencyTooSlow(DeadlineExceeded):
    """A service behind this one did not answer in time."""

    reason = "DEPENDENCY_TOO_SLOW"


class DependencyExhausted(ResourceExhausted):
    """A service behind this one is asked for too much."""

    reason = "DEPENDENCY_EXHAUSTED"


_PASSED_ON: dict[str, type[DomainError]] = {
    kind.code: kind for kind in (DependencyUnavailable, DependencyTooSlow, DependencyExhausted)
}


def errors(method: Method, handler: Handler) -> Handler:
    """End the call with the status of what the handler raises."""

    async def handle(request: Any, context: Context) -> Any:
        try:
            return await handler(request, context)
        except DomainError as error:
            await _abort(context, error, method)
        except grpc.aio.AbortError:
            # The handler has ended the call itself.
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: nothing internal may leave
            await _abort(context, public_error(error, method), method)

    return handle


def public_error(error: Exception, method: Method) -> DomainError:
    """Return what a caller may know of an error that no handler foresaw; the rest is logged."""
    remote = error_from_call(error) if isinstance(error, grpc.aio.AioRpcError) else error
    if isinstance(remote, RemoteError) and remote.code in _PASSED_ON:
        _log.warning("dependency failed", rpc=method.path, code=remote.code, error=remote.message)
        kind = _PASSED_ON[remote.code]
        return kind("something that this needs cannot answer now", retry_after=remote.retry_after)
    error_id = secrets.token_hex(8)
    _log.error("unhandled error", rpc=method.path, error_id=error_id, exc_info=error)
    return Internal(f"internal error {error_id}", error_id=error_id)


async def _abort(context: Context, error: DomainError, method: Method) -> NoReturn:
    details = status_from_error(error, method.domain).SerializeToString()
    await context.abort(
        grpc.StatusCode[error.code],
        error.message,
        trailing_metadata=((DETAILS_KEY, details), *_pushback(error)),
    )


def _pushback(error: DomainError) -> tuple[tuple[str, str], ...]:
    """Tell gRPC's own retries when to come back, or not to if that is long (gRFC A6)."""
    if error.retry_after is None:
        return ()
    is_soon = error.retry_after <= _SOON
    milliseconds = round(error.retry_after.total_seconds() * 1000) if is_soon else -1
    return (("grpc-retry-pushback-ms", str(milliseconds)),)
