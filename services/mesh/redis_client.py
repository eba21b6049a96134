"""The Redis client as the mesh uses it: every wait bounded, nothing sent twice behind our back.

redis-py repeats a command whose answer was lost. A repeated XADD is a second entry, so repeating is
left to those who know what they repeat.

uvloop refuses to write to a connection that has just been lost by a RuntimeError, which redis-py
hands on as it is. Here it is the ConnectionError that everybody expects of a lost connection.
"""

from collections.abc import Iterable
from datetime import timedelta

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost

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
    return Redis.from_pool(pool)


async def ready(client: Redis) -> None:
    """Passes when Redis answers; raises redis.RedisError when it does not."""
    await client.ping()
