"""The Redis client as the mesh uses it: every wait bounded, nothing sent twice behind our back.

redis-py repeats a command whose answer was lost. A repeated XADD is a second entry, so repeating is
left to those who know what they repeat.
"""

from datetime import timedelta

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SOCKET_TIMEOUT = timedelta(seconds=5)


def connect(url: str, *, name: str) -> Redis:
    """Returns a client for `redis://` or `rediss://` URLs; it connects when first used.

    `name` is what CLIENT LIST shows. Answers are bytes. Close it by `await client.aclose()`.
    """
    return Redis.from_url(
        url,
        client_name=name,
        socket_timeout=SOCKET_TIMEOUT.total_seconds(),
        socket_connect_timeout=2,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )


async def ready(client: Redis) -> None:
    """Passes when Redis answers; raises redis.RedisError when it does not."""
    await client.ping()
