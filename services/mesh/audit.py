"""The audit log of a service: what somebody did or tried that matters to security.

    async with db.transaction() as conn:
        ...                                              # the change
        await audit.record(conn, resource=f"users/{user_id}")

Who, what, from where and under which request id is taken from the call that is being served; when
it was is the database's clock. A row that was written stays: the table refuses everything but
additions (docs/decisions/0110).

A refusal has no change to be committed with, so it is written by itself:

    await log.refused(error, resource=f"users/{user_id}")
"""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from services.mesh import identity, paging, served_call
from services.mesh.client_address import client_address
from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError
from services.mesh.ids import new_id
from souk.mesh.v1.audit_pb2 import AuditEvent, AuditFilter, AuditOutcome

_INSERT = """
    INSERT INTO audit_events (
        audit_event_id, action, outcome, reason, actor_user_id, actor_service, client_address,
        request_id, resource
    ) VALUES ($1, $2, CASE $3 WHEN '' THEN 'succeeded' ELSE 'refused' END, $3, $4, $5, $6, $7, $8)
"""

# What is not asked for stands in the query all the same: so PostgreSQL plans for the values each
# time, where for any value it would go through all events.
_PAGE = """
    SELECT audit_event_id, create_time, action, outcome, reason, actor_user_id, actor_service,
        client_address, request_id, resource
    FROM audit_events
    WHERE ($1 = '' OR action = $1)
        AND ($2::uuid IS NULL OR actor_user_id = $2)
        AND ($3 = '' OR resource = $3)
        AND ($4 = '' OR outcome = $4)
        AND ($5::uuid IS NULL OR audit_event_id < $5)
        AND ($6::uuid IS NULL OR audit_event_id < $6)
    ORDER BY audit_event_id DESC LIMIT $7
"""

_START = "start"

_OUTCOMES = {
    AuditOutcome.AUDIT_OUTCOME_UNSPECIFIED: "",
    AuditOutcome.AUDIT_OUTCOME_SUCCEEDED: "succeeded",
    AuditOutcome.AUDIT_OUTCOME_REFUSED: "refused",
}
_OUTCOME_OF = {text: outcome for outcome, text in _OUTCOMES.items() if text}


R = TypeVar("R")


async def record(
    conn: Connection, *, resource: str = "", reason: str = "", actor: UUID | None = None
) -> None:
    """Write down, in the transaction of `conn`, what the call that is being served has done.

    `resource` is what it was done to, like "users/0199…". `reason` is why it was refused; empty
    says that it was done. `actor` is who turned out to have called, if not whose token came along.
    """
    who, call = identity.caller(), served_call.current()
    await conn.execute(
        _INSERT,
        new_id(),
        call.rpc.removeprefix("/") or _START,
        reason,
        actor or (UUID(who.subject) if who.subject else None),
        who.service or "",
        client_address(),
        call.request_id,
        resource,
    )


class AuditLog:
    """The log of one service, beside its own tables."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def done(self, *, resource: str = "") -> None:
        """Write down what was done without a transaction of this service's own."""
        async with self._db.connection() as conn:
            await record(conn, resource=resource)

    async def refused(
        self, error: DomainError, *, resource: str = "", actor: UUID | None = None
    ) -> None:
        """Write down that the call is refused with `error`."""
        async with self._db.connection() as conn:
            await record(conn, resource=resource, reason=error.reason, actor=actor)

    async def page(self, request: Any, response: Callable[..., R]) -> R:
        """Return the page that a `ListAuditEvents` asks for, and write down that it was read.

        Raises InvalidArgument naming `page_token`.
        """
        page = paging.read(request, cursor=UUID)
        async with self._db.transaction() as conn:
            rows = await conn.fetch(_PAGE, *_parameters(request.filter), page.cursor, page.limit)
            await record(conn)
        return response(
            audit_events=[_event(row) for row in page.kept(rows)],
            next_page_token=page.next_token(rows, lambda row: row["audit_event_id"]),
        )


def _parameters(asked: AuditFilter) -> tuple[object, ...]:
    return (
        asked.action,
        UUID(asked.actor_user_id) if asked.actor_user_id else None,
        asked.resource,
        _OUTCOMES[asked.outcome],
        UUID(asked.before_audit_event_id) if asked.before_audit_event_id else None,
    )


def _event(row: "asyncpg.Record") -> AuditEvent:
    event = AuditEvent(
        audit_event_id=str(row["audit_event_id"]),
        action=row["action"],
        outcome=_OUTCOME_OF[row["outcome"]],
        reason=row["reason"],
        actor_user_id=str(row["actor_user_id"] or ""),
        actor_service=row["actor_service"],
        client_address=row["client_address"],
        request_id=row["request_id"],
        resource=row["resource"],
    )
    event.create_time.FromDatetime(row["create_time"])
    return event
