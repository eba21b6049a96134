"""A subscription hears what is published, through long outages and over cut connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import exceptions
from redis.asyncio import Redis

from services.local import ports
from services.local.stores import redis as redis_store
from services.mesh import backoff, redis_client, subscription
from tests import accepting
from tests.cancellation import end
from tests.conftest import Eventually

SILENCE = timedelta(milliseconds=1500)


@dataclass(kw_only=True)
class Wire:
    """A TCP proxy; a cut connection stays open and passes nothing on any more."""

    target: tuple[str, int]
    port: int = 0
    cuts: list[asyncio.Event] = field(default_factory=list)

    def cut(self) -> None:
        """Cuts every connection that there is."""
        for each in self.cuts:
            each.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes one connection on until it ends."""
        there_reader, there_writer = await asyncio.open_connection(*self.target)
        cut = asyncio.Event()
        self.cuts.append(cut)
        try:
            await asyncio.gather(
                _pass_on(reader, there_writer, cut), _pass_on(there_reader, writer, cut)
            )
        finally:
            writer.close()
            there_writer.close()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            if not cut.is_set():
                writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def wire(redis_url: str) -> AsyncIterator[Wire]:
    """Runs a proxy in front of Redis."""
    parts = urlsplit(redis_url)
    assert parts.hostname
    assert parts.port
    made = Wire(target=(parts.hostname, parts.port))
    server = await asyncio.start_server(made.carry, ports.LOOPBACK, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        await accepting.close(server)


@contextlib.asynccontextmanager
async def listening(redis: Redis, pattern: str) -> AsyncIterator[list[bytes]]:
    """Collects what is heard, through every failure of Redis."""
    heard: list[bytes] = []

    async def listen() -> None:
        nonlocal heard
        async for message in subscription.messages(redis, pattern, silence=SILENCE):
            heard += [message] if message is not None else []

    task = asyncio.create_task(
        backoff.repeat(listen, despite=(exceptions.RedisError,), name="test")
    )
    try:
        yield heard
    finally:
        await end([task])


async def test_a_cut_connection_is_noticed(
    redis_url: str, unique: str, eventually: Eventually
) -> None:
    """A connection that takes everything and gives nothing is given up for a new one."""
    async with wire(redis_url) as proxy, Redis.from_url(redis_url) as publisher:
        redis = redis_client.connect(redis_store.url(proxy.port), name="test")

        async def published() -> bool:
            return await publisher.publish(unique, "hello") > 0

        async with redis, listening(redis, f"{unique}*") as heard:
            await eventually(published)
            await eventually(lambda: _is_heard(heard))
            proxy.cut()
            heard.clear()

            async def heard_again() -> bool:
                await publisher.publish(unique, "are you there?")
                return bool(heard)

            await eventually(heard_again)


async def test_silence_is_not_taken_for_a_cut(
    redis_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription to channels on which nobody speaks stays as it is."""
    # So that a moment in which the machine does something else is not taken for one either.
    monkeypatch.setattr(subscription, "_READ_SECONDS", 0.1)
    silence = 2 * SILENCE
    async with redis_client.connect(redis_url, name="test") as redis:
        messages = subscription.messages(redis, f"{unique}*", silence=silence)
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.5 * silence.total_seconds()
        async with contextlib.aclosing(messages):
            while loop.time() < until:
                assert await anext(messages) is None


async def test_a_cut_connection_ends_the_subscription(redis_url: str, unique: str) -> None:
    """Who runs it is told, within the silence that is allowed and a moment."""
    async with wire(redis_url) as proxy:
        redis = redis_client.connect(redis_store.url(proxy.port), name="test")
        messages = subscription.messages(redis, f"{unique}*", silence=SILENCE)
        async with redis, contextlib.aclosing(messages), asyncio.timeout(60):
            assert await anext(messages) is None
            proxy.cut()
            with pytest.raises(exceptions.TimeoutError, match="silent"):
                while True:
                    await anext(messages)


async def test_an_outage_is_survived(tmp_path: Path, unique: str, eventually: Eventually) -> None:
    """It listens again once Redis is back, however often it found none."""
    port = ports.free()[0]
    redis = redis_client.connect(redis_store.url(port), name="test")
    async with redis, listening(redis, f"{unique}*") as heard:
        for _ in range(2):
            async with (
                redis_store.running(tmp_path, port=port) as url,
                Redis.from_url(url) as publisher,
            ):

                async def is_listened_to(publisher: Redis = publisher) -> bool:
                    return await publisher.publish(unique, "hello") > 0

                await eventually(is_listened_to)
                await eventually(lambda: _is_heard(heard))
            heard.clear()


async def _is_heard(heard: list[bytes]) -> bool:
    return bool(heard)
