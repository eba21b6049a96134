"""Publishes the outbox: one relay of all replicas at a time, chosen by an advisory lock."""

from datetime import timedelta

from redis.asyncio import Redis

from services.mesh.database import Database


class Relay:
    """Publishes what is unpublished in the outbox of `db` to `stream`, like "souk:events:order"."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        *,
        stream: str,
        poll: timedelta = timedelta(seconds=1),
        keep: timedelta = timedelta(days=1),
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Publishes until cancelled, through every outage of Redis and PostgreSQL."""
        raise NotImplementedError
