"""The Redis client over connections that are lost at the worst moment."""

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as ConnectionLost

from services.mesh import redis_client


async def _write_to_a_lost_connection(url: str) -> None:
    client = redis_client.connect(url, name="test")
    try:
        connection = client.connection_pool.make_connection()
        await connection.connect()
        connection._writer.transport.abort()  # noqa: SLF001 - as if the network had done it
        await connection.send_command("PING")
    finally:
        await client.aclose()


async def test_a_connection_lost_before_it_is_written_to(redis_url: str):
    """On uvloop too, a command on a connection that has just been lost raises ConnectionError."""
    with pytest.raises(ConnectionLost):
        await asyncio.to_thread(uvloop.run, _write_to_a_lost_connection(redis_url))
