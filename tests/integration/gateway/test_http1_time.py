"""Clients that do not get on, and a server that goes away."""

import asyncio
from dataclasses import replace

import pytest

from gateway.transcoding.http import Chunks, ClientGone, HttpRequest, HttpResponse
from tests.integration.gateway.raw_http import SOON, Echo, serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"
NEVER = 3600.0
PATIENT = replace(
    SOON, header_seconds=NEVER, body_seconds=NEVER, idle_seconds=NEVER, write_seconds=NEVER
)


async def test_a_header_that_does_not_come_is_408():
    """Half a header is waited for, from its first byte, however often another byte comes."""
    async with serving(Echo(), replace(PATIENT, header_seconds=0.1)) as served:
        async with served.client() as client:
            await client.send(GET)
            assert (200, b"GET /? ") == await client.answer()
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(30):
                    client.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
                    while not client.reader.at_eof():
                        await client.send(b"a")
                        if b" 408 " in await client.reader.read(1):
                            break
        answer = await served.spoken(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
    assert b"HTTP/1.1 408 " == answer[:13]
    assert b"\r\nx-request-id: " in answer


async def test_a_connection_that_is_idle_is_closed():
    """Between requests a client is waited for, and then the connection ends without a word."""
    async with serving(Echo(), replace(PATIENT, idle_seconds=0.5)) as served:
        assert b"" == await served.spoken()
        async with served.client() as client:
            await client.send(GET)
            assert (200, b"GET /? ") == await client.answer()
            assert b"" == await client.rest()


async def test_a_body_that_does_not_come_is_408():
    """A body that the handler waits for, and that stops, ends request and handler."""
    gone = asyncio.Event()

    async def read(request: HttpRequest) -> HttpResponse:
        try:
            async for _ in request.chunks():
                pass
        except (ClientGone, asyncio.CancelledError):
            gone.set()
            raise
        return HttpResponse(status=200)

    async with serving(
        lambda request: asyncio.get_running_loop().create_task(read(request)),
        replace(PATIENT, body_seconds=0.1),
    ) as served:
        answer = await served.spoken(POST, b"ab")
    assert (b"HTTP/1.1 408 ", True) == (answer[:13], gone.is_set())


async def test_a_client_that_reads_slowly_is_cut_off():
    """Who has bytes to read and takes too few of them in the time given is reset."""
    async with serving(
        lambda _: HttpResponse(status=200, body=b"a" * 20_000_000),
        replace(PATIENT, write_seconds=0.2),
    ) as served:
        client = await served.connect()
        client.reader._limit = 1  # type: ignore[attr-defined]  # noqa: SLF001  # reads nothing ahead
        await client.send(GET)
        async with asyncio.timeout(30):
            while not await _is_reset(client.writer):
                await asyncio.sleep(0.02)
        await client.close()


async def _is_reset(writer: asyncio.StreamWriter) -> bool:
    try:
        writer.write(b"\r\n")
        await writer.drain()
    except ConnectionError:
        return True
    return False


async def test_a_client_that_reads_is_not_cut_off():
    """An answer may take longer than the time given, as long as the client keeps reading it."""

    async def chunks() -> Chunks:
        for _ in range(25):
            await asyncio.sleep(0.02)
            yield b"a" * 1000

    async with (
        serving(
            lambda _: HttpResponse(status=200, body=chunks()), replace(SOON, idle_seconds=NEVER)
        ) as served,
        served.client() as client,
    ):
        await client.send(GET)
        await client.head()
        async with asyncio.timeout(30):
            assert (await client.reader.readuntil(b"0\r\n\r\n")).count(b"a" * 1000) == 25


async def test_a_client_that_does_not_close_is_cut_off():
    """After its last answer a client has some time to take it, and to close."""
    async with serving(Echo(), PATIENT) as served, served.client() as client:
        await client.send(b"nonsense\r\n\r\n")
        assert b"HTTP/1.1 400 " == (await client.rest())[:13]
        async with asyncio.timeout(30):
            while not await _is_reset(client.writer):
                await asyncio.sleep(0.02)


async def test_a_drain_ends_idle_connections_and_answers_the_others():
    """Idle ones end at once, those at work with their answer, which says so; new ones are not."""
    release = asyncio.Event()

    async def wait() -> HttpResponse:
        await release.wait()
        return HttpResponse(status=200, body=b"a")

    async with serving(lambda _: asyncio.get_running_loop().create_task(wait()), PATIENT) as served:
        idle, busy, late = [await served.connect() for _ in range(3)]
        await busy.send(GET)
        await late.send(GET[:20])
        draining = asyncio.create_task(served.server.drain(60))
        assert b"" == await idle.rest()
        with pytest.raises(ConnectionRefusedError):
            await served.connect()
        await late.send(GET[20:])
        release.set()
        for client in (busy, late):
            assert b"\r\nconnection: close\r\n" in await client.head()
            assert b"a" == await client.rest()
        for client in (idle, busy, late):
            await client.close()
        async with asyncio.timeout(30):
            await draining


async def test_a_drain_is_bounded():
    """What does not come to its end in time is cancelled."""
    cancelled = asyncio.Event()

    async def wait() -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with serving(lambda _: asyncio.get_running_loop().create_task(wait()), PATIENT) as served:
        client = await served.connect()
        await client.send(GET)
        async with asyncio.timeout(30):
            await served.server.drain(0.1)
            await cancelled.wait()
        with pytest.raises(ConnectionError):
            await client.rest()
        await client.close()
