"""Clients of stores take up other credentials while they work, and no work fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from services.local import databases
from services.local.data_folder import DataFolder
from services.mesh import database, redis_client, rotation, watched_files
from services.mesh.ids import new_id
from services.mesh.settings import Secret
from services.mesh.watched_files import WatchedFiles
from tests.conftest import Eventually

PERIOD = timedelta(milliseconds=20)


@asynccontextmanager
async def following(path: Path, text: str) -> AsyncIterator[Secret]:
    """Yield a secret that follows a file with this text."""
    path.write_text(text)
    file = WatchedFiles([path], path.read_text)
    async with watched_files.following([file], PERIOD):
        yield Secret(file)


@asynccontextmanager
async def working(work: Callable[[], Awaitable[object]]) -> AsyncIterator[list[int]]:
    """Work in four tasks for the length of the block; yields how often it was done, by task."""
    done, stopped = [0] * 4, asyncio.Event()

    async def repeat(number: int) -> None:
        while not stopped.is_set():
            await work()
            done[number] += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(len(done)):
            tasks.create_task(repeat(number))
        try:
            yield done
        finally:
            stopped.set()


async def test_a_database_user_is_exchanged(
    postgres_url: str, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work moves to the other user without a failure, and the former one can be shut out."""
    monkeypatch.setattr(rotation, "DRAIN_SECONDS", 2)
    folder = DataFolder(tmp_path / "data")
    folder.create()
    service = f"t{new_id().hex[-8:]}"
    former = (await databases.provision(postgres_url, folder, [service]))[service]
    path = tmp_path / "url"

    async with (
        following(path, former) as secret,
        database.pool(secret, max_size=3, name="rotation") as db,
    ):

        async def work() -> None:
            async with db.transaction() as conn:
                await conn.execute("SELECT pg_sleep(0.01)")

        async def has_moved() -> bool:
            return await databases.has_moved(postgres_url, folder, service)

        async with working(work) as done:
            path.write_text(await databases.admit(postgres_url, folder, service))
            await eventually(has_moved)
            await databases.dismiss(postgres_url, folder, service)
            goal = sum(done) + 20

            async def goes_on() -> bool:
                return sum(done) > goal

            await eventually(goes_on)
        async with db.connection() as conn:
            users = await conn.fetchrow("SELECT session_user, current_user")
    assert (f"souk_{service}_b", f"souk_{service}") == tuple(users or ())
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(former)


async def test_wrong_credentials_change_nothing(
    database_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    """A URL that does not work is not used; work goes on by the one of before."""
    path = tmp_path / "url"
    wrong = urlunsplit(urlsplit(database_url)._replace(path="/nowhere"))
    async with following(path, database_url) as secret, database.pool(secret) as db:
        pool = db.pool
        path.write_text(wrong)

        async def is_seen() -> bool:
            return secret.reveal() == wrong

        await eventually(is_seen)
        await db.ready()
        assert db.pool is pool


async def test_a_redis_user_is_exchanged(
    redis_url: str, unique: str, tmp_path: Path, eventually: Eventually
) -> None:
    """Commands go by the new user, and those of before come to their end."""
    path = tmp_path / "url"
    parts = urlsplit(redis_url)
    other = urlunsplit(parts._replace(netloc=f"{unique}:hush@{parts.netloc}"))
    async with (
        Redis.from_url(redis_url) as admin,
        following(path, redis_url) as secret,
        redis_client.opened(secret, name=unique) as client,
    ):
        rights = ("on", ">hush", "~*", "+@all")
        await admin.execute_command("ACL", "SETUSER", unique, *rights)

        async def work() -> None:
            await client.set(unique, "x")

        async def has_moved() -> bool:
            return str(await client.acl_whoami()) == unique

        async with working(work):
            path.write_text(other)
            await eventually(has_moved)
        await admin.acl_deluser(unique)
        await admin.delete(unique)
