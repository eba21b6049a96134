"""The embedded stores: they start, keep data over a restart and a crash, and leave nothing."""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from services.local import ports
from services.local.program import Program, running
from services.local.stores import mongo, postgres, redis

pytestmark = pytest.mark.asyncio


async def _add_to_postgres(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        count: int = await connection.fetchval("SELECT count(*) FROM kept")
        return count
    finally:
        await connection.close()


async def _add_to_redis(url: str) -> int:
    async with Redis.from_url(url) as client:
        count: int = await client.incr("kept")
        return count


async def _add_to_mongo(url: str) -> int:
    client: AsyncIOMotorClient[dict[str, int]] = AsyncIOMotorClient(url)
    try:
        await client.shop.kept.insert_one({"n": 1})
        return await client.shop.kept.count_documents({})
    finally:
        client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store as these tests see it; `add` writes one thing and returns how many there are."""

    program: Callable[[Path, int], Program]
    url: Callable[[Path, int], str]
    add: Callable[[str], Awaitable[int]]


STORES = [
    pytest.param(
        Store(program=postgres.program, url=postgres.superuser_url, add=_add_to_postgres),
        id="postgres",
    ),
    pytest.param(
        Store(program=redis.program, url=lambda _, port: redis.url(port), add=_add_to_redis),
        id="redis",
    ),
    pytest.param(
        Store(program=mongo.program, url=lambda _, port: mongo.url(port), add=_add_to_mongo),
        id="mongo",
    ),
]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("by_kill", [False, True], ids=["stopped", "killed"])
async def test_data_outlives_the_server(tmp_path: Path, store: Store, *, by_kill: bool) -> None:
    """What was acknowledged is there when the server, stopped or killed, starts again."""
    (port,) = ports.free()
    program = store.program(tmp_path / "store", port)
    counts = []
    for _ in range(2):
        async with running(program) as process:
            counts.append(await store.add(store.url(tmp_path / "store", port)))
            if by_kill:
                process.kill()
    assert counts == [1, 2]


async def test_mongo_starts_over_a_stale_process_id_file(tmp_path: Path) -> None:
    """A process id file left by a crash, now naming some other live process, does not stop it."""
    (tmp_path / "server.pid").write_text(str(os.getpid()))
    async with mongo.running(tmp_path) as url:
        assert await _add_to_mongo(url) == 1


async def test_postgres_refuses_a_wrong_password(tmp_path: Path) -> None:
    """A connection over the loopback address needs the superuser's password."""
    (port,) = ports.free()
    async with postgres.running(tmp_path, port=port):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url(port, password="wrong"))


async def test_postgres_logs_no_statement(tmp_path: Path) -> None:
    """Of a session that is ended in the midst of a statement, the log does not tell which."""
    async with postgres.running(tmp_path) as url:
        working, ending = [await asyncpg.connect(url) for _ in range(2)]
        query = asyncio.ensure_future(working.execute("SELECT 'private' FROM pg_sleep(600)"))
        find = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        async with asyncio.timeout(60):
            while not (pid := await ending.fetchval(find)):
                await asyncio.sleep(0.02)
        await ending.execute("SELECT pg_terminate_backend($1, 60000)", pid)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await query
        await ending.close()
    log = (tmp_path / "server.log").read_text()
    assert (True, False) == ("terminating connection" in log, "private" in log)


async def test_postgres_password_is_private(tmp_path: Path) -> None:
    """The superuser's password file can be read by its owner alone."""
    async with postgres.running(tmp_path):
        assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600


async def test_stores_listen_on_loopback_alone(tmp_path: Path) -> None:
    """None of the stores can be reached over another address of this machine."""
    first, second, third = ports.free(3)
    async with (
        postgres.running(tmp_path / "postgres", port=first),
        redis.running(tmp_path / "redis", port=second),
        mongo.running(tmp_path / "mongo", port=third),
    ):
        # Any address of 127/8 but 127.0.0.1 stands for "another address": it is always there.
        refused = []
        for port in (first, second, third):
            with socket.socket() as probe:
                refused.append(probe.connect_ex(("127.0.0.2", port)) != 0)
    assert refused == [True, True, True]


async def test_stopped_stores_free_their_ports(tmp_path: Path) -> None:
    """After the block nothing listens on a store's port any more."""
    first, second, third = ports.free(3)
    async with (
        postgres.running(tmp_path / "postgres", port=first),
        redis.running(tmp_path / "redis", port=second),
        mongo.running(tmp_path / "mongo", port=third),
    ):
        assert [ports.is_taken(port) for port in (first, second, third)] == [True] * 3
    assert [ports.is_taken(port) for port in (first, second, third)] == [False] * 3
