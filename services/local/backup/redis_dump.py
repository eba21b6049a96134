"""The mesh's keys in Redis, by DUMP and RESTORE."""

import asyncio
import base64
import json
from pathlib import Path

from redis.asyncio import Redis

_KEYS = "souk:*"
_TIMEOUT_SECONDS = 600


async def dump(url: str, into: Path) -> None:
    """Writes every key of the mesh as a line of JSON. Raises RedisError."""
    into.mkdir()
    async with asyncio.timeout(_TIMEOUT_SECONDS), Redis.from_url(url) as redis:
        with (into / "keys.ndjson").open("w") as file:
            async for key in redis.scan_iter(_KEYS, count=500):
                value = await redis.dump(key)
                if value is not None:
                    line = {
                        "key": base64.b64encode(key).decode(),
                        "ttl_ms": max(0, await redis.pttl(key)),
                        "value": base64.b64encode(value).decode(),
                    }
                    file.write(json.dumps(line) + "\n")


async def restore(url: str, source: Path) -> None:
    """Replaces the mesh's keys by those of the file. Raises RedisError."""
    async with asyncio.timeout(_TIMEOUT_SECONDS), Redis.from_url(url) as redis:
        async for key in redis.scan_iter(_KEYS, count=500):
            await redis.delete(key)
        for line in (source / "keys.ndjson").read_text().splitlines():
            kept = json.loads(line)
            await redis.restore(
                base64.b64decode(kept["key"]), kept["ttl_ms"], base64.b64decode(kept["value"])
            )
