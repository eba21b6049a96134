"""Bodies that arrive while they are read, or that nobody reads."""

import asyncio

import pytest

from gateway.http1.limits import Limits
from gateway.transcoding.http import Answer, HttpRequest, HttpResponse
from tests.integration.gateway.raw_http import Echo, serving

POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
NEXT = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_a_body_is_whole_or_comes():
    """A body that arrives with its head is there; another one has to be read."""
    echo = Echo()
    async with serving(echo) as served, served.client() as client:
        await client.send(POST + b"content-length: 4\r\n\r\nabcd")
        assert (200, b"POST /? abcd") == await client.answer()
        await client.send(POST + b"content-length: 4\r\n\r\nab")
        await client.send(b"cd" + NEXT)
        assert (200, b"POST /? abcd") == await client.answer()
        assert (200, b"GET /next? ") == await client.answer()
        await client.send(POST + b"transfer-encoding: chunked\r\n\r\n2\r")
        for piece in (b"\na", b"b\r", b"\n0\r\n", b"\r", b"\n" + NEXT):
            await client.send(piece)
        assert (200, b"POST /? ab") == await client.answer()
        assert (200, b"GET /next? ") == await client.answer()
    assert [b"abcd", None, b"", None, b""] == [request.body for request in echo.requests]


async def test_a_body_that_has_arrived_can_be_read_in_chunks():
    """`chunks` gives the body whether it has arrived or not."""
    async with serving(Echo()) as served, served.client() as client:
        for body in (b"", b"abcd"):
            head = b"POST /later HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
            await client.send(head + body)
            assert (200, b"POST /later? " + body) == await client.answer()


async def test_a_body_waits_for_its_reader():
    """What the handler does not read stays with the client, beyond what is buffered."""
    release = asyncio.Event()
    size = 50_000_000

    async def read(request: HttpRequest) -> HttpResponse:
        await release.wait()
        count = 0
        async for piece in request.chunks():
            assert len(piece) < 1_000_000
            count += len(piece)
        return HttpResponse(status=200, body=b"%d" % count)

    def handler(request: HttpRequest) -> Answer:
        return asyncio.get_running_loop().create_task(read(request))

    async with serving(handler) as served, served.client() as client:
        client.writer.transport.set_write_buffer_limits(high=0)
        client.writer.write(POST + b"content-length: %d\r\n\r\n" % size)
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while sent < size:
                    client.writer.write(b"a" * 100_000)
                    sent += 100_000
                    await client.writer.drain()
        assert sent < 20_000_000
        release.set()
        client.writer.write(b"a" * (size - sent))
        async with asyncio.timeout(30):
            await client.writer.drain()
        assert (200, b"%d" % size) == await client.answer()


async def test_continue_is_said_when_the_body_is_wanted():
    """RFC 9110 section 10.1.1: 100 when the handler reads; a final answer instead when it does not.

    After an answer without it nobody knows whether the body will come: the connection ends.
    """
    expecting = b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    async with serving(Echo()) as served, served.client() as client:
        await client.send(POST + expecting)
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await client.head()
        await client.send(b"ab" + NEXT)
        assert (200, b"POST /? ab") == await client.answer()
        assert (200, b"GET /next? ") == await client.answer()
        await client.send(POST + expecting + b"ab")
        assert (200, b"POST /? ab") == await client.answer()
    async with serving(lambda _: HttpResponse(status=413)) as served, served.client() as client:
        await client.send(POST + expecting)
        head = await client.head()
        assert b"HTTP/1.1 413 " == head[:13]
        assert b"\r\nconnection: close\r\n" in head
        assert b"" == await client.rest()
    async with serving(Echo()) as served:
        # HTTP/1.0 knows no 100.
        answer = await served.spoken(b"POST / HTTP/1.0\r\n" + expecting, b"ab")
        assert b"HTTP/1.1 200 " == answer[:13]


async def test_continue_is_not_said_amid_an_answer():
    """A handler that reads after it has begun to answer reads what comes without being asked."""

    async def read(request: HttpRequest):
        async for piece in request.chunks():
            yield piece

    async with (
        serving(lambda request: HttpResponse(status=200, body=read(request))) as served,
        served.client() as client,
    ):
        await client.send(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert b"HTTP/1.1 200 " == (await client.head())[:13]
        await client.send(b"ab")
        assert b"2\r\nab\r\n0\r\n\r\n" == await client.rest()


@pytest.mark.parametrize("framing", [b"content-length: 300000", b"transfer-encoding: chunked"])
async def test_a_body_that_nobody_reads_is_thrown_away(framing):
    """An answer before the end of the body arrives, and the next request is found after it."""

    def handler(request: HttpRequest) -> Answer:
        return HttpResponse(status=413 if request.method == "POST" else 200)

    body = b"a" * 300_000
    if b"chunked" in framing:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with serving(handler) as served, served.client() as client:
        await client.send(POST + framing + b"\r\n\r\n" + body[:1000])
        assert (413, b"") == await client.answer()
        client.writer.write(body[1000:] + NEXT)
        assert (200, b"") == await client.answer()


@pytest.mark.parametrize("framing", [b"content-length: 100000000", b"transfer-encoding: chunked"])
async def test_a_body_without_an_end_is_cut_off(framing):
    """The client gets to read the answer; if it sends on and on, the connection is reset."""
    async with serving(
        lambda _: HttpResponse(status=413, body=b"a"), Limits(discarded_bytes=1_000_000)
    ) as served:
        client = await served.connect()
        await client.send(POST + framing + b"\r\n\r\n")
        assert (413, b"a") == await client.answer()
        sent = 0
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionError):
                while sent < 100_000_000:
                    client.writer.write(b"186a0\r\n" + b"a" * 100_000 + b"\r\n")
                    await client.writer.drain()
                    sent += 100_000
        assert sent < 50_000_000
        await client.close()


async def test_a_body_may_be_answered_while_it_comes():
    """Both ways at once: what the handler makes of a piece goes out before the next comes in."""

    async def upper(request: HttpRequest):
        async for piece in request.chunks():
            yield piece.upper()

    async with (
        serving(lambda request: HttpResponse(status=200, body=upper(request))) as served,
        served.client() as client,
    ):
        await client.send(POST + b"transfer-encoding: chunked\r\n\r\n")
        await client.head()
        for piece in (b"ab", b"cd"):
            await client.send(b"2\r\n" + piece + b"\r\n")
            assert b"2\r\n" + piece.upper() + b"\r\n" == await client.reader.readexactly(7)
        await client.send(b"0\r\n\r\n" + NEXT)
        assert b"0\r\n\r\n" == await client.reader.readexactly(5)
        assert b"HTTP/1.1 200 " == (await client.head())[:13]
