"""Keeps a Redis stream short without taking anything from a consumer group."""

from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.mesh.entry_id import EntryId


async def trim(redis: Redis, stream: str, *, keep: timedelta) -> None:
    """Removes entries older than `keep` that every group has handled (XTRIM MINID, Redis 6.2).

    A group that stopped reading keeps its entries: remove the group, or let it read.
    """
    seconds, _ = await redis.time()
    bounds = [EntryId(int((seconds - keep.total_seconds()) * 1000), 0)]
    bounds += [await _first_needed(redis, stream, group) for group in await _groups(redis, stream)]
    await redis.xtrim(stream, minid=str(min(bounds)), approximate=True)


async def _groups(redis: Redis, stream: str) -> list[dict[str, bytes]]:
    try:
        return await redis.xinfo_groups(stream)
    except ResponseError:
        # There is no stream yet.
        return []


async def _first_needed(redis: Redis, stream: str, group: dict[str, bytes]) -> EntryId:
    """Returns the id of the first entry that the group has not acknowledged."""
    pending = await redis.xpending(stream, group["name"])
    return EntryId.parse(pending["min"] or group["last-delivered-id"])
