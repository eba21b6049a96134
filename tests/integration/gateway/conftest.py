"""A gateway in front of a gRPC server that echoes, both real, both of no domain.

| fixture    | scope    | gives                                              |
|------------|----------|----------------------------------------------------|
| `echo`     | function | the upstream, with no calls yet                    |
| `gateway`  | session  | the running gateway                                |
| `http`     | function | a client for it: `await http("GET", "/v1/texts/a")` |
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from multidict import CIMultiDictProxy
from yarl import URL

from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway, running
from tests.unit.gateway.protos import everything


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: "CIMultiDictProxy[str]"
    body: bytes
    json: Any


_JSON = ("application/json", "application/problem+json", "application/openapi+json")

Http = Callable[..., Awaitable[Answer]]


@pytest.fixture(scope="session")
async def upstream() -> AsyncIterator[Echo]:
    """Runs the echo server."""
    echo = Echo()
    server = echo.server()
    await server.start()
    try:
        yield echo
    finally:
        await server.stop(None)


@pytest.fixture
def echo(upstream: Echo) -> Echo:
    """Forgets what earlier tests asked."""
    upstream.calls.clear()
    upstream.cancelled.clear()
    upstream.sent = upstream.received = 0
    return upstream


@pytest.fixture(scope="session")
def descriptor_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes the descriptor set of everything.proto."""
    path = tmp_path_factory.mktemp("gateway") / "everything.binpb"
    path.write_bytes(FileDescriptorSet(file=everything().files).SerializeToString())
    return path


@pytest.fixture(scope="session")
async def gateway(upstream: Echo, descriptor_file: Path) -> AsyncIterator[Gateway]:
    """Runs the gateway."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={upstream.address}")
    origins = "https://shop.example"
    async with running(*arguments, "--access", "open", SOUK_CORS_ORIGINS=origins) as started:
        yield started


@pytest.fixture(scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Opens a client that sends paths as they are and follows nothing."""
    timeout = aiohttp.ClientTimeout(total=110)
    plain = {"accept-encoding": "identity"}
    async with aiohttp.ClientSession(
        timeout=timeout, headers=plain, auto_decompress=False
    ) as opened:
        yield opened


@pytest.fixture
def http(gateway: Gateway, session: aiohttp.ClientSession) -> Http:
    """Sends requests to the gateway."""

    async def send(method: str, target: str, **options: Any) -> Answer:
        url = URL(gateway.url + target, encoded=True)
        async with session.request(method, url, allow_redirects=False, **options) as response:
            body = await response.read()
            is_json = response.content_type in _JSON and body != b""
            if "content-encoding" in response.headers:
                is_json = False
            return Answer(
                status=response.status,
                headers=response.headers,
                body=body,
                json=await response.json(content_type=None) if is_json else None,
            )

    return send
