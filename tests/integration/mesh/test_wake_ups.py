"""Wake-ups come after a commit, through outages, and keep no commit waiting."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.mesh import database
from services.mesh.database import Database
from services.mesh.wake_ups import WakeUps
from tests.cancellation import end
from tests.conftest import Eventually


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Opens a pool."""
    async with database.pool(database_url) as opened:
        yield opened


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[list[tuple[str, str]]]:
    """Collects what is told on two channels."""
    told: list[tuple[str, str]] = []
    listener = await asyncpg.connect(database_url)
    for channel in ("a", "b"):
        await listener.add_listener(channel, lambda *args: told.append((args[2], args[3])))
    yield told
    await listener.close()


async def test_each_is_told_once(
    db: Database, heard: list[tuple[str, str]], eventually: Eventually
) -> None:
    """What is sent while others are being sent comes too; the same one twice comes once."""
    wake_ups = WakeUps(db)
    for channel, payload in (("a", "1"), ("a", "1"), ("b", "1"), ("a", "2")):
        wake_ups.send(channel, payload)
    sending = asyncio.create_task(wake_ups.run())
    wake_ups.send("b", "last")

    async def all_heard() -> bool:
        return len(heard) == 4

    await eventually(all_heard)
    assert sorted(heard) == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "last")]
    await end([sending])


async def test_a_lost_connection_is_survived(
    db: Database, heard: list[tuple[str, str]], eventually: Eventually, database_url: str
) -> None:
    """After the database has ended the connection, the next one is sent over another."""
    wake_ups = WakeUps(db)
    sending = asyncio.create_task(wake_ups.run())
    wake_ups.send("a", "before")

    async def is_heard() -> bool:
        wake_ups.send("a", "after")
        return ("a", "after") in heard

    other = await asyncpg.connect(database_url)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'souk' AND datname = current_database()"
    )
    await other.close()
    await eventually(is_heard)
    await end([sending])
