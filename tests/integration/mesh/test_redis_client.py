"""The Redis client over connections that are lost at the worst moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer

from services.mesh import event_stream, redis_client
from tests.chaos.tcp_proxy import TcpProxy
from tests.conftest import Eventually


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


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[TcpProxy]:
    """Runs a proxy in front of Redis."""
    async with TcpProxy(urlsplit(redis_url).netloc) as running:
        yield running


def _meshs(url: str) -> Redis:
    return redis_client.connect(url, name="test")


def _redis_pys(url: str) -> Redis:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Redis(host=parts.hostname, port=parts.port)


@pytest.mark.parametrize(("connect", "entries"), [(_meshs, 1), (_redis_pys, 2)])
async def test_a_command_whose_answer_was_lost_is_not_sent_again(
    connect: Callable[[str], Redis],
    entries: int,
    proxy: TcpProxy,
    redis_url: str,
    unique: str,
    eventually: Eventually,
):
    """An XADD is written once and its caller told; redis-py by itself would write it twice."""
    async with connect(f"redis://{proxy.address}") as client, Redis.from_url(redis_url) as direct:
        await client.ping()
        proxy.backward.dropped = True
        adding = asyncio.ensure_future(client.xadd(unique, {"event": "7"}))
        await eventually(lambda: direct.xlen(unique))
        proxy.heal()
        (outcome,) = await asyncio.gather(adding, return_exceptions=True)
        assert isinstance(outcome, RedisError) == (entries == 1)
        assert await direct.xlen(unique) == entries


async def test_a_read_that_blocks_ends_when_nothing_comes_any_more(
    proxy: TcpProxy, unique: str, monkeypatch: pytest.MonkeyPatch
):
    """Over a connection that is silently dead a blocking read fails soon, and does not hang."""
    monkeypatch.setattr(redis_client, "SOCKET_TIMEOUT", timedelta(seconds=2))
    async with _meshs(f"redis://{proxy.address}") as client:
        await client.ping()
        proxy.hold()
        async with asyncio.timeout(60):
            with pytest.raises(NoAnswer):
                await client.xread({unique: "$"}, block=60_000)
        proxy.heal()


def test_waiting_for_events_is_shorter_than_the_sockets_patience():
    """A read that finds nothing ends by Redis's answer, not as if the connection were dead."""
    longest = timedelta(milliseconds=event_stream._BLOCK_MILLISECONDS)  # noqa: SLF001
    assert longest * 2 < redis_client.SOCKET_TIMEOUT
