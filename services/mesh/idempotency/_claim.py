"""Whose key it is, and what a claim of it finds."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh.errors import Aborted, DomainError, FailedPrecondition
from services.mesh.identity import Caller

M = TypeVar("M", bound=Message)


class IdempotencyKeyReused(FailedPrecondition):
    """The key was used before, for another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInUse(Aborted):
    """The same call is being worked on; `retry_after` says when to ask again."""

    reason = "IDEMPOTENCY_KEY_IN_USE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose key it is: `subject` is a user id or `service:<name>`, `method` a full gRPC name."""

    subject: str
    method: str
    key: str


def scope(caller: Caller, *, method: str, key: str) -> Scope:
    """Returns the scope of a call's key: the person's, or the calling service's without one."""
    return Scope(
        subject=caller.subject or f"service:{caller.service or ''}", method=method, key=key
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The call is ours to do. `resumed`: an earlier attempt began it on `resource` and stopped."""

    scope: Scope
    attempt: int
    resource: str
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The call was answered before."""

    body: bytes | None
    error: DomainError | None

    def response(self, kind: type[M]) -> M:
        """Returns the stored response; raises the stored error if that was the answer."""
        if self.error is not None:
            raise self.error
        return kind.FromString(self.body or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """Another attempt is at work on `resource`, and is believed alive for `remaining`."""

    resource: str
    remaining: timedelta


Claim = Fresh | Replay | InProgress
