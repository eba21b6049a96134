"""The embedded stores: they start, keep data over a restart and a crash, and leave nothing."""

import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from services.local import ports
from services.local.program import running
from services.local.stores import mongo, postgres, redis

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


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


async def _postgres_twice(folder: Path) -> list[int]:
    counts = []
    for _ in range(2):
        async with postgres.running(folder) as url:
            counts.append(await _add_to_postgres(url))
    return counts


async def _redis_twice(folder: Path) -> list[int]:
    counts = []
    for _ in range(2):
        async with redis.running(folder, durable=True) as url:
            counts.append(await _add_to_redis(url))
    return counts


async def _mongo_twice(folder: Path) -> list[int]:
    counts = []
    for _ in range(2):
        async with mongo.running(folder) as url:
            counts.append(await _add_to_mongo(url))
    return counts


@pytest.mark.parametrize("twice", [_postgres_twice, _redis_twice, _mongo_twice])
async def test_data_is_there_after_a_restart(
    tmp_path: Path, twice: Callable[[Path], Awaitable[list[int]]]
) -> None:
    """A store started again on the same folder has what was written before."""
    assert await twice(tmp_path / "store") == [1, 2]


async def test_postgres_keeps_commits_over_a_kill(tmp_path: Path) -> None:
    """A PostgreSQL killed with SIGKILL has every committed row when it starts again."""
    (port,) = ports.free()
    program = postgres.program(tmp_path, port)
    async with running(program) as process:
        assert await _add_to_postgres(postgres.superuser_url(tmp_path, port)) == 1
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    async with running(program):
        assert await _add_to_postgres(postgres.superuser_url(tmp_path, port)) == 2


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
