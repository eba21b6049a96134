"""Redis Pub/Sub with an end: a subscription that is silently dead is noticed.

A connection that was cut without a word takes what is written to it and gives nothing back, which
looks like a channel on which nobody speaks. So Redis is asked for a sign of life now and then.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

from redis import exceptions
from redis.asyncio import Redis

_READ_SECONDS = 1  # shorter than the client's socket timeout
_SILENCE = timedelta(seconds=10)


async def messages(
    redis: Redis, pattern: str, *, silence: timedelta = _SILENCE
) -> AsyncGenerator[bytes | None, None]:
    """Yields what is published on the channels like `pattern`; None each second without any.

    The first None comes when the subscription stands. Raises RedisError when the connection is
    lost, and when nothing has come of it for the time of `silence`; run it by `backoff.repeat`. It
    ends when the client has other credentials, by which it is then to be begun again: redis-py
    would bring it back by those of before.
    What is published while nobody listens is not heard: who begins to listen looks for it.
    """
    clock, pool = asyncio.get_running_loop().time, redis.connection_pool
    async with redis.pubsub() as pubsub:
        await pubsub.psubscribe(pattern)
        heard = asked = clock()
        while redis.connection_pool is pool:
            message = await pubsub.get_message(timeout=_READ_SECONDS)
            now = clock()
            if message is not None:
                heard = now
            elif now - heard > silence.total_seconds():
                raise exceptions.TimeoutError("the subscription has gone silent")
            if now - asked > silence.total_seconds() / 3:
                await pubsub.ping()
                asked = now
            yield message["data"] if message and message["type"] == "pmessage" else None
