"""The audit log is added to, and nothing else; what it tells is committed with what was done."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.mesh import audit, database, identity, migrate, served_call
from services.mesh.audit import AuditLog
from services.mesh.database import Database
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall
from souk.mesh.v1.audit_pb2 import AuditFilter, AuditOutcome
from souk.order.v1.order_service_pb2 import ListAuditEventsRequest, ListAuditEventsResponse
from tests import table_rows

SOMEBODY = "0199a3c4-0000-7000-8000-000000000003"

# Every 5001st is what a test looks for.
_FILL = """
    INSERT INTO audit_events
        (audit_event_id, action, outcome, actor_user_id, request_id, resource)
    SELECT lpad(to_hex(n), 32, '0')::uuid,
        CASE WHEN n % 5001 = 0 THEN 'a.v1.A/Seldom' ELSE 'a.v1.A/Do' END, 'succeeded',
        CASE WHEN n % 5001 = 0 THEN $2::uuid ELSE gen_random_uuid() END, n::text,
        CASE WHEN n % 5001 = 0 THEN 'users/7' ELSE 'orders/' || n END
    FROM generate_series(1, $1::integer) AS n
"""

ADDRESS = {"x-souk-client-address": "203.0.113.7"}


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a database with an audit log."""
    await migrate.apply(database_url, migrate.of_mesh("audit"))
    async with database.pool(database_url, max_size=1) as opened:
        yield opened


async def rows(db: Database) -> list[asyncpg.Record]:
    """Return what the log holds."""
    async with db.connection() as conn:
        return await conn.fetch("SELECT * FROM audit_events ORDER BY audit_event_id")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET reason = 'other'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ],
)
async def test_what_was_written_stays(db: Database, statement: str):
    """Not even the table's owner changes or removes a row without taking the guard off first."""
    async with db.transaction() as conn:
        await audit.record(conn, resource="users/1")

    with pytest.raises(asyncpg.RaiseError, match="can be added to, nothing else"):
        async with db.connection() as conn:
            await conn.execute(statement)

    assert ["users/1"] == [row["resource"] for row in await rows(db)]


async def test_what_is_rolled_back_was_not_done(db: Database):
    """An event belongs to the change's own transaction."""
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as conn:
            await audit.record(conn, resource="users/1")
            raise ZeroDivisionError

    assert [] == await rows(db)


@pytest.mark.parametrize(
    "wanted",
    [
        {"resource": "users/7"},
        {"action": "a.v1.A/Seldom"},
        {"actor_user_id": SOMEBODY},
        {"action": "a.v1.A/Seldom", "outcome": AuditOutcome.AUDIT_OUTCOME_SUCCEEDED},
    ],
)
async def test_what_is_rare_is_found_among_many(db: Database, wanted: dict[str, Any]):
    """Page by page, by each thing that can be asked for, without reading all the others."""
    async with db.connection() as conn:
        await conn.execute(_FILL, 20_000, UUID(SOMEBODY))
        await conn.execute("ANALYZE")
    log, before = AuditLog(db), await table_rows.read(db, "audit_events")
    found: list[str] = []
    token = ""
    # Often enough for PostgreSQL to plan it once for all values, if it meant to.
    while len(found) < 9 or token:
        request = ListAuditEventsRequest(
            page_size=1, page_token=token, filter=AuditFilter(**wanted)
        )
        answer = await log.page(request, ListAuditEventsResponse)
        found += [event.request_id for event in answer.audit_events]
        token = answer.next_page_token

    assert ["15003", "10002", "5001"] * 3 == found
    assert await table_rows.read(db, "audit_events") - before < 50


@pytest.mark.parametrize(
    ("service", "metadata", "address"),
    [
        ("gateway", ADDRESS, "203.0.113.7"),
        ("gateway", {}, ""),
        ("gateway", {"x-souk-client-address": "'; DROP TABLE users"}, ""),
        ("developer", ADDRESS, ""),
        ("order", ADDRESS, ""),
    ],
)
async def test_the_address_is_believed_from_the_gateway_alone(
    db: Database, service: str, metadata: dict[str, str], address: str
):
    """Any other peer that sends the metadata is not asked where its client is."""
    served_call.begin(ServedCall("request-1", metadata, rpc="/a.v1.A/Do"))
    identity.serve_as(Caller(service=service))
    try:
        async with db.transaction() as conn:
            await audit.record(conn)
    finally:
        served_call.begin(ServedCall())
        identity.serve_as(identity.NOBODY)

    (row,) = await rows(db)
    assert ("a.v1.A/Do", service, address, "request-1") == (
        row["action"],
        row["actor_service"],
        row["client_address"],
        row["request_id"],
    )
