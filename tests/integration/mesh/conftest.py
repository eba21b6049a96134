"""What several of the mesh's tests begin with."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.mesh import redis_client


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Connects to Redis."""
    client = redis_client.connect(redis_url, name="test")
    yield client
    await client.aclose()
