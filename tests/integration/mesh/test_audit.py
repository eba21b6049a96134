"""The audit log is added to, and nothing else; what it tells is committed with what was done."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.mesh import audit, database, identity, migrate, served_call
from services.mesh.database import Database
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall

ADDRESS = {"x-souk-client-address": "203.0.113.7"}


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a database with an audit log."""
    await migrate.apply(database_url, migrate.of_mesh("audit"))
    async with database.pool(database_url) as opened:
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
