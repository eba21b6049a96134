"""Streams over WebSockets: messages, half-close, ends, and who may open one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway

SOON = 30


@asynccontextmanager
async def opened(
    gateway: Gateway, session: aiohttp.ClientSession, target: str, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Opens a WebSocket to a route; nothing in it takes for ever."""
    async with asyncio.timeout(SOON), session.ws_connect(gateway.url + target, **options) as socket:
        yield socket


async def received(socket: aiohttp.ClientWebSocketResponse) -> tuple[list[Any], int | None]:
    """Gives the messages until the end, texts as JSON, and the code of the close."""
    found: list[Any] = []
    async for message in socket:
        text = message.type is WSMsgType.TEXT
        found.append(json.loads(message.data) if text else message.data)
    return found, socket.close_code


async def test_both_ways_at_once(gateway: Gateway, session: aiohttp.ClientSession):
    """Each message of a bidirectional stream is answered before the next one is sent."""
    async with opened(gateway, session, "/v1/chat") as socket:
        for name in ("1", "2"):
            await socket.send_json({"parent": name})
            assert name == (await socket.receive_json())["parent"]
        await socket.send_str("")
        assert ([], 1000) == await received(socket)


async def test_path_and_query_bind_every_message(gateway: Gateway, session: aiohttp.ClientSession):
    """A client stream ends by an empty text, and is answered by one message."""
    async with opened(gateway, session, "/v1/parents/p:import") as socket:
        for name in ("a", "b"):
            await socket.send_json({"name": name})
        await socket.send_str("")
        [answer], code = await received(socket)
    names = [(each["parent"], each["resource"]["name"]) for each in answer["requests"]]
    assert ([("p", "a"), ("p", "b")], 1000) == (names, code)


async def test_a_server_stream_takes_path_and_query(
    gateway: Gateway, session: aiohttp.ClientSession
):
    """A binding without a body needs no message to begin."""
    async with opened(gateway, session, "/v1/names:watch?count=2") as socket:
        assert (["1", "2"], 1000) == await received(socket)


async def test_raw_bodies_are_binary(gateway: Gateway, session: aiohttp.ClientSession):
    """A stream of google.api.HttpBody is its data, as binary messages."""
    async with opened(gateway, session, "/v1/files/three") as socket:
        assert ([b"one ", b"two ", b"three"], 1000) == await received(socket)


async def test_a_failure_is_the_last_message_and_the_code(
    gateway: Gateway, session: aiohttp.ClientSession
):
    """A call that fails says so as google.rpc.Status, and closes with 4000 and its code."""
    async with opened(gateway, session, "/v1/names:watch?count=9&failAfter=1") as socket:
        messages, code = await received(socket)
    status = {"code": 10, "message": "enough", "details": []}
    kind = {"@type": "type.googleapis.com/google.rpc.Status"}
    assert (["1", {**kind, **status}], 4010) == (messages, code)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ("{", ""),
        ('{"name": 1}', "resource.name"),
        ('{"nope": 1}', "resource.nope"),
        (b'{"name": "a"}', ""),
    ],
)
async def test_what_is_no_message_ends_the_call(
    gateway: Gateway, session: aiohttp.ClientSession, sent, field
):
    """A message that is not one ends the call as INVALID_ARGUMENT, and names the field."""
    async with opened(gateway, session, "/v1/parents/p:import") as socket:
        await (socket.send_str(sent) if isinstance(sent, str) else socket.send_bytes(sent))
        [status], code = await received(socket)
    violations = status["details"][0]["fieldViolations"]
    assert (4003, 3, field) == (code, status["code"], violations[0]["field"])


async def test_a_message_is_limited(gateway: Gateway, session: aiohttp.ClientSession):
    """A message above 256 KiB closes with 1009 (RFC 6455 section 7.4.1)."""
    async with opened(gateway, session, "/v1/chat") as socket:
        await socket.send_str(json.dumps({"parent": "x" * 300_000}))
        assert ([], 1009) == await received(socket)


@pytest.mark.parametrize("closes", [True, False])
async def test_a_client_that_leaves_ends_the_call(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo, closes
):
    """The RPC is cancelled when the client closes, or is gone without a word."""
    async with opened(gateway, session, "/v1/names:watch?count=1&endless=true") as socket:
        assert "1" == await socket.receive_json()
        if closes:
            await socket.close()
        else:
            connection: Any = socket._response.connection  # noqa: SLF001  # no other way
            connection.transport.abort()
        await echo.cancelled.wait()


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/nothing", {}, 404),
        ("/v1/int64", {}, 405),
        ("/v1/names:watch?count=x", {}, 400),
        ("/v1/names:watch", {"grpc-timeout": "x"}, 400),
        ("/v1/chat", {"sec-websocket-protocol": "graphql-ws"}, 400),
        ("/v1/chat", {"sec-websocket-protocol": "souk.bearer.abc"}, 400),
        ("/v1/chat", {"origin": "https://evil.example"}, 403),
        ("/v1/chat", {"origin": "null"}, 403),
    ],
)
async def test_what_cannot_be_opened_has_a_status(
    gateway: Gateway, session: aiohttp.ClientSession, target, headers, status
):
    """What is wrong with the handshake is an HTTP answer like any other."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with opened(gateway, session, target, headers=headers):
            pass
    assert status == refused.value.status


async def test_a_call_of_one_message_is_no_socket(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """A handshake on the route of a unary method is a plain GET, or 405; nothing else is called."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with opened(gateway, session, "/v1/texts/a"):
            pass
    assert (200, ["Get"]) == (refused.value.status, [call.method for call in echo.calls])


async def test_pages_of_our_own_and_of_named_origins_may_open(
    gateway: Gateway, session: aiohttp.ClientSession
):
    """A page of the gateway's own origin, or of one in the settings, may open a WebSocket."""
    for origin in ("https://shop.example", gateway.url, gateway.url.replace("http:", "https:")):
        headers = {"origin": origin}
        async with opened(gateway, session, "/v1/names:watch", headers=headers) as socket:
            assert ([], 1000) == await received(socket)


async def test_a_token_may_come_as_a_subprotocol(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """A token among the subprotocols is `authorization` to the service, and never comes back."""
    protocols = ("souk.json", "souk.bearer.ab.c-d_e")
    target = "/v1/names:watch"
    async with opened(gateway, session, target, protocols=protocols) as socket:
        agreed = socket._response.headers["sec-websocket-protocol"]  # noqa: SLF001  # no other way
        assert ([], 1000) == await received(socket)
    assert "souk.json" == agreed
    assert "Bearer ab.c-d_e" == dict(echo.calls[0].metadata)["authorization"]


HANDSHAKE = (
    b"host: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_slow_reader_slows_the_service(gateway: Gateway, echo: Echo):
    """What a client does not read stays with the service."""
    total = 2_000
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    target = f"/v1/resources:watch?count={total}&titleBytes=50000"
    writer.write(f"GET {target} HTTP/1.1\r\n".encode() + HANDSHAKE)
    last = -1
    async with asyncio.timeout(100):
        while echo.sent == 0 or echo.sent != last:
            last = echo.sent
            await asyncio.sleep(0.5)
        assert 0 < echo.sent < total // 2
        while echo.sent < total:
            await reader.read(1_000_000)
    writer.close()
