"""The Redis client as the mesh uses it: every wait bounded, nothing sent twice behind our back.

redis-py repeats a command whose answer was lost. A repeated XADD is a second entry, so repeating is
left to those who know what they repeat.

uvloop refuses to write to a connection that has just been lost by a RuntimeError, which redis-py
hands on as it is. Here it is the ConnectionError that everybody expects of a lost connection.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost

from services.mesh import background, rotation
from services.mesh.settings import Secret

SOCKET_TIMEOUT = timedelta(seconds=5)


class _SaysWhenLost(AbstractConnection):
    """A connection that raises ConnectionError whenever it turns out to be lost."""

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise ConnectionLost("the connection was lost before it was written to") from error


class _Plain(_SaysWhenLost, Connection):
    """Over TCP."""


class _Encrypted(_SaysWhenLost, SSLConnection):
    """Over TLS."""


def connect(url: str, *, name: str) -> Redis:
    """Returns a client for `redis://` or `rediss://` URLs; it connects when first used.

    `name` is what CLIENT LIST shows. Answers are bytes. Close it by `await client.aclose()`.
    """
    return Redis.from_pool(_pool(url, name))


@asynccontextmanager
async def opened(url: Secret | str, *, name: str) -> AsyncIterator[Redis]:
    """Yields a client like `connect`, which follows the URL when that comes from a file.

    New commands then go by new connections; the former ones are closed after a while, which ends
    subscriptions like a lost connection does.
    """
    client = connect(url if isinstance(url, str) else url.reveal(), name=name)
    async with client, background.Tasks() as retiring:

        async def exchange(text: str) -> None:
            fresh = _pool(text, name)
            try:
                await Redis(connection_pool=fresh).ping()
            except BaseException:
                await fresh.aclose()
                raise
            former, client.connection_pool = client.connection_pool, fresh
            retiring.add(_retire(former), name="retired client")

        async with rotation.following(url, exchange, name="redis"):
            yield client


async def _retire(pool: ConnectionPool) -> None:
    """Closes what commands of before are done with, each of which has its time."""
    try:
        await asyncio.sleep(rotation.DRAIN_SECONDS)
    finally:
        await pool.aclose()


def _pool(url: str, name: str) -> ConnectionPool:
    encrypted = url.startswith("rediss:")
    pool = ConnectionPool.from_url(
        url,
        client_name=name,
        socket_timeout=SOCKET_TIMEOUT.total_seconds(),
        socket_connect_timeout=2,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )
    # The URL's scheme has chosen redis-py's own.
    pool.connection_class = _Encrypted if encrypted else _Plain
    return pool


async def ready(client: Redis) -> None:
    """Passes when Redis answers; raises redis.RedisError when it does not."""
    await client.ping()
