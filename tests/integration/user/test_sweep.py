"""What the user service forgets by itself."""

import asyncio
from datetime import timedelta

from services.local import ports
from services.mesh import database
from services.user.attempt_store import AttemptStore
from services.user.session_store import SessionStore
from services.user.worker import Sweeper
from tests import accepting, table_rows
from tests.cancellation import end
from tests.conftest import Eventually

from .conftest import LIMITS, Parts

SOON = timedelta(milliseconds=10)

_FILL_SESSIONS = """
    WITH somebody AS (
        INSERT INTO users (user_id, email, display_name, password_hash)
        VALUES (gen_random_uuid(), gen_random_uuid()::text, 'Ada', '') RETURNING user_id
    ), begun AS (
        INSERT INTO sessions (session_id, user_id, create_time)
        SELECT gen_random_uuid(), user_id, now() - interval '31 d'
        FROM somebody, generate_series(1, $1::integer)
        RETURNING session_id
    )
    INSERT INTO refresh_tokens (token_hash, session_id, expire_time)
    SELECT sha256(session_id::text::bytea), session_id, now() + $2::text::interval FROM begun
"""

_FILL_ATTEMPTS = """
    INSERT INTO login_attempts
    SELECT sha256(n::text::bytea), 1, now() - interval '1 s' FROM generate_series(1, $1) AS n
"""


async def test_attempts_that_are_over_are_forgotten(parts: Parts, eventually: Eventually) -> None:
    """A window that has ended leaves nothing behind."""
    await parts.attempts.take("ada@example.com", address="")

    async def is_forgotten() -> bool:
        async with parts.db.connection() as conn:
            await conn.execute("UPDATE login_attempts SET end_time = now() - interval '1 s'")
            return not await conn.fetchval("SELECT EXISTS (SELECT FROM login_attempts)")

    sweeping = asyncio.create_task(Sweeper(parts.sessions, parts.attempts, interval=SOON).run())
    try:
        await eventually(is_forgotten)
    finally:
        await end([sweeping])


async def test_what_has_piled_up_is_forgotten_in_parts(parts: Parts) -> None:
    """No statement deletes more than it can in its time, and what is in use stays."""
    count = 10_001
    async with parts.db.connection() as conn:
        for table in ("refresh_tokens", "sessions", "login_attempts"):
            await table_rows.refuse_large_deletes(conn, table, most=count - 1)
        await conn.execute(_FILL_SESSIONS, count, "-1 s")
        await conn.execute(_FILL_SESSIONS, count, "1 h")
        await conn.execute(_FILL_ATTEMPTS, count)
        await conn.execute("ANALYZE")
    assert await parts.sessions.forget_expired() == count
    await parts.attempts.forget_ended()
    async with parts.db.connection() as conn:
        left = [
            await conn.fetchval("SELECT count(*) FROM sessions"),
            await conn.fetchval("SELECT count(*) FROM refresh_tokens"),
            await conn.fetchval("SELECT count(*) FROM login_attempts"),
        ]
    assert left == [count, count, 0]


def _nothing_at(port: int) -> str:
    return f"postgresql://nobody@{ports.address(port)}/nothing?sslmode=disable"


async def test_the_sweep_outlives_an_outage(eventually: Eventually) -> None:
    """Without its database it is tried again, and does not end the process."""
    refused = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refused
        refused += 1
        writer.close()

    async def was_tried_again() -> bool:
        return refused > 1

    server = await asyncio.start_server(refuse, ports.LOOPBACK, 0)
    async with accepting.closing(server) as port, database.pool(_nothing_at(port)) as db:
        sessions = SessionStore(db, life=timedelta(days=30))
        sweeper = Sweeper(sessions, AttemptStore(db, LIMITS), interval=SOON)
        sweeping = asyncio.create_task(sweeper.run())
        try:
            await eventually(was_tried_again)
            assert not sweeping.done()
        finally:
            await end([sweeping])
