"""WebSockets on the gateway's HTTP server: handshake, messages, back-pressure, ends (RFC 6455)."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from gateway.http1.limits import Limits
from gateway.transcoding.http import Handler, HttpRequest, HttpResponse, WebSocket
from tests.integration.gateway.raw_http import SOON, Client, serving

KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"sec-websocket-version: 13\r\n"
UPGRADE = b"upgrade: websocket\r\nconnection: Upgrade\r\n"
OPEN = b"GET /chat HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + VERSION + b"\r\n"
NEVER = 3600.0


async def echo(socket: WebSocket) -> None:
    """Sends back what it gets."""
    while (message := await socket.receive()) is not None:
        await socket.send(message)


def speaking(speak=echo) -> Handler:
    """Makes a handler that takes every request for a WebSocket."""
    headers = [(b"sec-websocket-protocol", b"chat")]
    return lambda _: HttpResponse(status=101, headers=list(headers), websocket=speak)


def frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """Writes a frame as a client does: masked, here by zeros."""
    length = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    return bytes((opcode | (0x80 if fin else 0),)) + length + b"\0\0\0\0" + data


async def opened(client: Client) -> bytes:
    """Does the handshake; gives the answer's header."""
    await client.send(OPEN)
    return await client.head()


@asynccontextmanager
async def web_socket(handler: Handler, limits: Limits | None = None):
    """Opens a WebSocket by a client that is not ours."""
    async with (
        serving(handler, limits) as served,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{served.host}:{served.port}/", protocols=["chat"]) as socket,
    ):
        yield socket


async def test_the_handshake_proves_itself():
    """The answer is 101, with the key of RFC 6455 section 1.3 and the handler's fields alone."""
    async with serving(speaking()) as served, served.client() as client:
        lines = (await opened(client)).lower().split(b"\r\n")
        assert b"http/1.1 101 switching protocols" == lines[0]
        assert {
            b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
            b"upgrade: websocket",
            b"connection: upgrade",
            b"sec-websocket-protocol: chat",
        } <= set(lines)
        assert not [line for line in lines if line.startswith(b"sec-websocket-extensions")]


async def test_frames_may_come_with_the_handshake():
    """What is sent before the answer to the handshake is not lost."""
    async with serving(speaking()) as served, served.client() as client:
        await client.send(OPEN + frame(1, b"ab"))
        await client.head()
        assert b"\x81\x02ab" == await client.reader.readexactly(4)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 426),
        (b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", 426),
        (b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n" + KEY + VERSION + b"\r\n", 426),
        (b"GET / HTTP/1.0\r\nhost: a\r\n" + UPGRADE + KEY + VERSION + b"\r\n", 426),
        (b"POST / HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + VERSION + b"\r\n", 426),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + UPGRADE + VERSION + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + UPGRADE + KEY + KEY + VERSION + b"\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\n"
            + UPGRADE
            + KEY
            + b"sec-websocket-version: 8\r\n"
            + b"\r\n",
            400,
        ),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\n"
            + UPGRADE
            + b"sec-websocket-key: short\r\n"
            + VERSION
            + b"\r\n",
            400,
        ),
    ],
)
async def test_what_is_no_handshake_is_refused(sent, status):
    """A request that the handler takes for a WebSocket, and is none, is told what is wanted."""
    async with serving(speaking()) as served:
        head = (await served.spoken(sent)).partition(b"\r\n\r\n")[0]
    assert b"HTTP/1.1 %d " % status == head[:13]
    assert b"\r\nupgrade: websocket\r\nsec-websocket-version: 13" in head


async def test_an_offer_may_be_declined():
    """A handler that answers a handshake as any request keeps the connection as it is."""
    async with (
        serving(lambda request: HttpResponse(status=404, body=request.path.encode())) as served,
        served.client() as client,
    ):
        await client.send(OPEN + b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (404, b"/chat") == await client.answer()
        assert (404, b"/next") == await client.answer()


async def test_messages_keep_their_kind():
    """Text comes back as text, binary as binary, whatever its size up to the limit."""
    async with web_socket(speaking()) as socket:
        assert "chat" == socket.protocol
        for text in ("a", "é" * 1000, "", "a" * 256 * 1024):
            await socket.send_str(text)
            assert text == await socket.receive_str(timeout=30)
        for data in (b"\xff", b"", b"a" * 70_000):
            await socket.send_bytes(data)
            assert data == await socket.receive_bytes(timeout=30)


async def test_fragments_are_one_message():
    """RFC 6455 section 5.4: a message in pieces, with a ping amid them, is one; empty ones too."""
    async with serving(speaking()) as served, served.client() as client:
        await opened(client)
        pieces = (frame(1, b"\xc3", fin=False), frame(0, b"", fin=False), frame(9, b"p"))
        await client.send(b"".join(pieces) + frame(0, b"\xa9"))
        assert b"\x8a\x01p\x81\x02\xc3\xa9" == await client.reader.readexactly(7)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (frame(3, b""), 1002),
        (frame(0, b"a"), 1002),
        (b"\x81\x01a", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (frame(9, b"a", fin=False), 1002),
        (b"\x82\xff" + (256 * 1024 + 1).to_bytes(8) + b"\0\0\0\0", 1009),
        (frame(8, b"\x03\xe8"), 1000),
    ],
)
async def test_what_breaks_the_rules_ends_it(sent, code):
    """The close frame says why, and nothing after it is taken for a message."""
    heard: list[str | bytes | None] = []

    async def listen(socket: WebSocket) -> None:
        while True:
            heard.append(await socket.receive())
            if heard[-1] is None:
                return

    async with serving(speaking(listen)) as served, served.client() as client:
        await opened(client)
        await client.send(sent + frame(1, b"more"))
        answer = await client.rest()
    assert (0x88, code) == (answer[0], int.from_bytes(answer[2:4]))
    assert [None] == heard


async def test_a_speaker_that_returns_closes():
    """The server closes with 1000 when its speaker is done, with 1011 when it failed."""

    async def greet(socket: WebSocket) -> None:
        await socket.send("hello")

    async def fail(_: WebSocket) -> None:
        raise ValueError("a secret")

    async def leave(socket: WebSocket) -> None:
        await socket.close(4000, "x" * 200)

    for speak, code, reason in (
        (greet, 1000, ""),
        (fail, 1011, "internal error"),
        (leave, 4000, "x" * 123),
    ):
        async with web_socket(speaking(speak)) as socket:
            message = await socket.receive(timeout=30)
            if message.type is aiohttp.WSMsgType.TEXT:
                message = await socket.receive(timeout=30)
            assert (code, reason) == (message.data, message.extra)


async def test_a_client_that_leaves_cancels_the_speaker():
    """A connection that is lost cancels who speaks on it."""
    cancelled = asyncio.Event()

    async def wait(_: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(speaking(wait)) as served:
        client = await served.connect()
        await opened(client)
        client.writer.transport.abort()
        async with asyncio.timeout(30):
            await cancelled.wait()


async def test_messages_wait_for_who_reads_them():
    """Back-pressure both ways: neither side is sent more than it takes."""
    release = asyncio.Event()
    sent = 0

    async def wait_then_flood(socket: WebSocket) -> None:
        nonlocal sent
        await release.wait()
        for _ in range(20):
            await socket.receive()
        while True:
            await socket.send(b"a" * 10_000)
            sent += 1

    async with serving(speaking(wait_then_flood)) as served, served.client() as client:
        await opened(client)
        client.writer.transport.set_write_buffer_limits(high=0)
        taken = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                while taken < 50_000_000:
                    client.writer.write(frame(2, b"a" * 60_000))
                    await client.writer.drain()
                    taken += 60_000
        assert taken < 20_000_000
        release.set()
        before = -1
        async with asyncio.timeout(30):
            while before != sent or sent == 0:
                before = sent
                await asyncio.sleep(0.1)
        assert 0 < sent < 2000


async def test_a_silent_peer_is_pinged_then_cut():
    """A peer that answers pings may be silent for ever, one that does not is reset."""
    limits = replace(SOON, idle_seconds=NEVER, ping_seconds=0.5)
    async with serving(speaking(), limits) as served, served.client() as client:
        await opened(client)
        for _ in range(3):
            assert b"\x89\x00" == await client.reader.readexactly(2)
            await client.send(frame(10, b""))
        assert b"\x89\x00" == await client.reader.readexactly(2)
        with pytest.raises(ConnectionError):
            await client.rest()


async def test_a_peer_that_does_not_close_is_cut():
    """The close handshake is waited for no longer than the limit says."""

    async def leave(_: WebSocket) -> None:
        return

    async with serving(speaking(leave), replace(SOON, ping_seconds=NEVER)) as served:
        client = await served.connect()
        await opened(client)
        assert b"\x88\x02\x03\xe8" == await client.rest()


async def test_a_drain_says_going_away():
    """A server that drains closes with 1001, and waits for the peer to close, too."""
    async with serving(speaking()) as served, served.client() as client:
        await opened(client)
        draining = asyncio.create_task(served.server.drain(60))
        assert b"\x88\x02\x03\xe9" == await client.reader.readexactly(4)
        await client.send(frame(8, b"\x03\xe9"))
        assert b"" == await client.rest()
        await client.close()
        async with asyncio.timeout(30):
            await draining


async def test_a_handler_may_decide_later():
    """The answer of a handshake may be a Future, as any."""

    async def decide(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=101, websocket=echo if request.path == "/" else None)

    async with web_socket(
        lambda request: asyncio.get_running_loop().create_task(decide(request))
    ) as socket:
        await socket.send_str("a")
        assert "a" == await socket.receive_str(timeout=30)
