"""What an upstream does with the calls under way when its connections are exchanged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway import settings, upstream
from gateway.upstream import Link, ServiceConfig, Upstream
from tests.integration.gateway.streaming_server import Streams, call
from tests.integration.gateway.transports import KINDS

pytestmark = pytest.mark.timeout(60)

Exchange = Callable[[Upstream], Awaitable[None] | None]

_CONFIG: ServiceConfig = {"loadBalancingConfig": [{"round_robin": {}}]}
_OTHER_CONFIG: ServiceConfig = {"loadBalancingConfig": [{"pick_first": {}}]}
_GRACE_SECONDS = 20.0
_SERVE = ("serve", "--descriptors", "never-read.binpb")

EXCHANGES: dict[str, Exchange] = {
    "other certificates": lambda opened: opened.renew(_GRACE_SECONDS),
    "another contract": lambda opened: opened.configure(_OTHER_CONFIG, _GRACE_SECONDS),
}


def _stream(opened: Upstream) -> AsyncIterator[bytes]:
    return aiter(opened.transport.stream(call("ServerStream"), b""))


async def _next(messages: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(30):
        return await anext(messages)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("transport", KINDS)
async def test_streams_go_on(transport: str, exchange: str) -> None:
    """A stream goes on to its end over the connection it began on, which is closed after it."""
    server = Streams(answers=30, pause_seconds=0.02)
    async with server.served() as port:
        link = Link(address=f"127.0.0.1:{port}", max_message_bytes=1000)
        opened = upstream.opened(settings.parse([*_SERVE, "--transport", transport]), link, _CONFIG)
        messages = _stream(opened)
        begun = [await _next(messages)]

        closing = EXCHANGES[exchange](opened)
        exchanged = asyncio.ensure_future(closing) if closing is not None else None
        others = _stream(opened)
        later = [await _next(others)]
        await others.aclose()  # type: ignore[attr-defined]  # a generator's
        rest = [message async for message in messages]

        if exchanged is not None:
            async with asyncio.timeout(30):
                await exchanged
        await opened.close()
    assert (30, begun) == (len(begun + rest), later)
