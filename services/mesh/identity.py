"""Who makes the call that is being served."""

import math
from contextvars import ContextVar
from dataclasses import dataclass

SERVICE_KEY = "x-souk-service"
"""The metadata by which a peer says who it is, where TLS is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a call: the service that sent it and the person behind it, both proven.

    `service` is the name in the peer's certificate (`spiffe://souk/<service>`), like "gateway".
    `subject`, `roles` and `session` come from the access token (JWT `sub`, `roles`, `sid`);
    `subject` is None and `roles` is empty if no person is behind the call. Roles are lower-case.
    `expires_at` is when the token ends, in Unix seconds; never, if there is none.
    """

    service: str | None = None
    subject: str | None = None
    roles: frozenset[str] = frozenset()
    session: str | None = None
    expires_at: float = math.inf


NOBODY = Caller()

_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def caller() -> Caller:
    """Return who makes the call that is being served; `NOBODY` outside of a call."""
    return _caller.get()


def serve_as(who: Caller) -> None:
    """State who makes the call that the current task serves."""
    _caller.set(who)
