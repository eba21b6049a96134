"""What the user service forgets by itself."""

import asyncio
from datetime import timedelta

from services.local import ports
from services.mesh import database
from services.user.attempt_store import AttemptStore
from services.user.session_store import SessionStore
from services.user.worker import Sweeper
from tests.cancellation import end
from tests.conftest import Eventually

from .conftest import LIMITS, Parts

SOON = timedelta(milliseconds=10)


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
    address = ports.address(server.sockets[0].getsockname()[1])
    url = f"postgresql://nobody@{address}/nothing?sslmode=disable"
    async with server, database.pool(url) as db:
        sessions = SessionStore(db, life=timedelta(days=30))
        sweeper = Sweeper(sessions, AttemptStore(db, LIMITS), interval=SOON)
        sweeping = asyncio.create_task(sweeper.run())
        try:
            await eventually(was_tried_again)
            assert not sweeping.done()
        finally:
            await end([sweeping])
