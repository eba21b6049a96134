"""The pool bounds every wait and says what a failure means."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.local import ports
from services.local.stores import postgres
from services.mesh import database
from services.mesh.database import Connection, Database
from services.mesh.database_pool import FAILURES
from services.mesh.errors import Aborted, DeadlineExceeded, Unavailable


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a small, impatient pool on a new database."""
    async with database.pool(
        database_url,
        max_size=2,
        acquire_timeout=timedelta(seconds=4),
        statement_timeout=timedelta(seconds=2),
        lock_timeout=timedelta(milliseconds=100),
        name="test",
    ) as opened:
        async with opened.connection() as conn:
            await conn.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
            await conn.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        yield opened


async def count(db: Database) -> int:
    """Returns the rows of the table."""
    async with db.connection() as conn:
        return int(await conn.fetchval("SELECT count(*) FROM t"))


async def test_session(db: Database) -> None:
    """A session is in UTC, named, and bounded in all its waits."""
    names = ("TimeZone", "application_name", "statement_timeout", "lock_timeout")
    async with db.connection() as conn:
        found = [await conn.fetchval("SELECT current_setting($1)", name) for name in names]
        idle = await conn.fetchval("SELECT current_setting('idle_in_transaction_session_timeout')")
    assert found == ["UTC", "test", "2s", "100ms"]
    assert idle == "4s"


async def test_commit_and_rollback(db: Database) -> None:
    """A transaction commits at the end of its block, and not at all if the block raises."""
    async with db.transaction() as conn:
        await conn.execute("INSERT INTO t VALUES (3, 0)")
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO t VALUES (4, 0)")
            raise ZeroDivisionError
    assert await count(db) == 3


async def test_slow_statement(db: Database) -> None:
    """A statement that takes too long ends as DeadlineExceeded."""
    with pytest.raises(DeadlineExceeded):
        async with db.connection() as conn:
            await conn.execute("SELECT pg_sleep(60)")


async def test_no_connection_free(db: Database) -> None:
    """Waiting for a connection is bounded and ends as Unavailable."""
    async with db.connection(), db.connection():
        with pytest.raises(Unavailable) as caught:
            async with db.connection():
                pass
    assert caught.value.retry_after


async def test_locked_row(db: Database) -> None:
    """Waiting for another's lock is bounded and ends as Aborted."""
    async with db.transaction() as conn:
        await conn.execute("UPDATE t SET n = 1 WHERE id = 1")
        with pytest.raises(Aborted):
            async with db.transaction() as other:
                await other.execute("UPDATE t SET n = 2 WHERE id = 1")


async def test_constraint(db: Database) -> None:
    """A broken constraint is left to the store, which knows it by name."""
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO t VALUES (1, 0)")
    assert getattr(caught.value, "constraint_name", None) == "t_pkey"


async def test_lost_connection(db: Database) -> None:
    """A connection lost in a transaction ends as Unavailable, and the next one works."""
    with pytest.raises(Unavailable):
        async with db.transaction() as conn, db.connection() as other:
            pid = await conn.fetchval("SELECT pg_backend_pid()")
            await conn.execute("INSERT INTO t VALUES (3, 0)")
            await other.execute("SELECT pg_terminate_backend($1, 60000)", pid)
            await conn.execute("INSERT INTO t VALUES (4, 0)")
    assert await count(db) == 2


def say_farewell(conn: Connection) -> None:
    """Gives the connection what a server sends that ends it, which has not closed it yet."""
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    message = b"E" + (len(fields) + 4).to_bytes(4) + fields
    conn._protocol.data_received(message)  # type: ignore[union-attr]  # noqa: SLF001 - as from the net


async def test_farewell(db: Database) -> None:
    """A connection that the server has given up, and not yet closed, ends as Unavailable."""
    with pytest.raises(Unavailable):
        async with db.transaction() as conn:
            say_farewell(conn)
            await conn.execute("INSERT INTO t VALUES (3, 0)")
    assert await count(db) == 2


async def test_lost_when_given_back(db: Database) -> None:
    """A connection that is lost after its work keeps nobody from the result."""
    async with db.connection() as conn:
        await conn.execute("INSERT INTO t VALUES (3, 0)")
        say_farewell(conn)
    assert await count(db) == 3


async def test_own_reason(db: Database) -> None:
    """A block that ends for its own reason keeps it, even on a lost connection."""
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as conn, db.connection() as other:
            pid = await conn.fetchval("SELECT pg_backend_pid()")
            await other.execute("SELECT pg_terminate_backend($1, 60000)", pid)
            with pytest.raises(FAILURES):
                await conn.execute("SELECT 1")
            raise ZeroDivisionError


async def test_cancelled(db: Database) -> None:
    """A transaction cancelled in a statement is rolled back and its connection is usable again."""
    begun = asyncio.Event()

    async def work() -> None:
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO t VALUES (3, 0)")
            begun.set()
            await conn.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(db) == 2


async def test_server_down_and_up(tmp_path: Path) -> None:
    """The pool opens before its server, is not ready while that is down, and is once it is up."""
    port = ports.free()[0]
    async with postgres.running(tmp_path, port=port) as url:
        pass
    async with database.pool(url) as db:
        with pytest.raises(Unavailable):
            await db.ready()
        async with postgres.running(tmp_path, port=port):
            await db.ready()
        with pytest.raises(Unavailable):
            await db.ready()
