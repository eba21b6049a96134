"""Requests and answers on one connection: order, persistence, framing."""

import asyncio
import email.utils
import time

import pytest

from gateway.http1.limits import Limits
from gateway.transcoding.http import Answer, Chunks, HttpRequest, HttpResponse
from tests.integration.gateway.raw_http import Echo, serving

LAST = b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def get(path: str, *lines: bytes, method: str = "GET", version: str = "1.1") -> bytes:
    """Writes a request."""
    head = f"{method} {path} HTTP/{version}".encode()
    return b"\r\n".join((head, b"host: a", *lines, b"", b""))


async def test_a_connection_takes_many_requests():
    """HTTP/1.1 stays until one side says close, in either order of answering."""
    async with serving(Echo()) as served, served.client() as client:
        for path in ("/1", "/later/2", "/3"):
            await client.send(get(path))
            assert (200, f"GET {path}? ".encode()) == await client.answer()
        await client.send(LAST)
        assert b"\r\nconnection: close\r\n" in await client.head()
        assert b"GET /last? " == await client.rest()


@pytest.mark.parametrize(
    ("version", "lines", "said"),
    [
        ("1.1", [], None),
        ("1.1", [b"connection: keep-alive"], None),
        ("1.1", [b"connection: Close"], b"close"),
        ("1.1", [b"connection: keep-alive, close"], b"close"),
        ("1.0", [], b"close"),
        ("1.0", [b"connection: Keep-Alive"], b"keep-alive"),
    ],
)
async def test_persistence_is_said(version, lines, said):
    """RFC 9112 section 9.3: whoever stays or goes other than by default says so."""
    async with serving(Echo()) as served, served.client() as client:
        await client.send(get("/", *lines, version=version))
        head = await client.head()
        assert ([] if said is None else [b"connection: " + said]) == [
            line for line in head.split(b"\r\n") if line.startswith(b"connection:")
        ]
        if said == b"close":
            assert b"GET /? " == await client.rest()
        else:
            await client.reader.readexactly(len(b"GET /? "))
            await client.send(get("/next"))
            assert (200, b"GET /next? ") == await client.answer()


async def test_an_answer_names_its_date_and_no_product():
    """An answer has the date of the last sweep, its length, and no Server field."""
    begin = int(time.time())
    async with serving(Echo()) as served, served.client() as client:
        await client.send(get("/"))
        lines = (await client.head()).split(b"\r\n")
    fields = dict(line.split(b": ") for line in lines[1:-2])
    assert b"HTTP/1.1 200 OK" == lines[0]
    assert {b"date", b"content-type", b"content-length"} == fields.keys()
    sent = email.utils.parsedate_to_datetime(fields[b"date"].decode()).timestamp()
    # Its first sweep was as it began to serve.
    assert begin <= sent <= time.time()


async def test_requests_sent_ahead_are_answered_in_order():
    """Answers come in the order of requests, whichever takes longer, and one is made at a time."""
    most = running = 0

    async def slowly(request: HttpRequest) -> HttpResponse:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0 if request.path.endswith("fast") else 0.02)
        running -= 1
        return HttpResponse(status=200, body=request.path.encode())

    def handler(request: HttpRequest) -> Answer:
        return asyncio.get_running_loop().create_task(slowly(request))

    async with serving(handler) as served, served.client() as client:
        await client.send(b"".join(get(path) for path in ("/slow", "/fast", "/slow2", "/fast2")))
        answers = [(await client.answer())[1] for _ in range(4)]
    assert [b"/slow", b"/fast", b"/slow2", b"/fast2"] == answers
    assert 1 == most


async def test_what_is_sent_ahead_is_bounded():
    """A client that sends requests without end is not read while one is under way."""
    release = asyncio.Event()

    async def wait() -> HttpResponse:
        await release.wait()
        return HttpResponse(status=200, body=b"a")

    async with serving(lambda _: asyncio.get_running_loop().create_task(wait())) as served:
        client = await served.connect()
        client.writer.transport.set_write_buffer_limits(high=0)
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 100_000_000:
                    client.writer.write(get("/" + "a" * 5000))
                    await client.writer.drain()
                    sent += 5000
        assert sent < 20_000_000
        release.set()
        for _ in range(sent // 5000):
            assert (200, b"a") == await client.answer()
        await client.close()


@pytest.mark.parametrize("path", ["/", "/later"])
async def test_head_has_no_body(path):
    """HEAD is answered with the header that GET would have, and the next answer follows at once."""
    async with serving(Echo()) as served, served.client() as client:
        await client.send(get(path, method="HEAD") + LAST)
        length = len(f"HEAD {path}? ")
        assert f"content-length: {length}".encode() in await client.head()
        assert b"HTTP/1.1 200 OK" == (await client.rest())[:15]


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(status):
    """204 and 304 end with their header, whatever the handler gave."""
    async with (
        serving(lambda _: HttpResponse(status=status, body=b"never")) as served,
        served.client() as client,
    ):
        await client.send(get("/") + LAST)
        head = await client.head()
        assert (f"HTTP/1.1 {status} ".encode(), False) == (head[:13], b"content-length" in head)
        assert head[:13] == (await client.rest())[:13]


async def test_options_of_the_server_is_204():
    """`OPTIONS *` asks nothing of the handler."""
    echo = Echo()
    async with serving(echo) as served, served.client() as client:
        await client.send(get("*", method="OPTIONS"))
        assert (204, b"") == await client.answer()
    assert [] == echo.requests


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(status=200, headers=[(b"x", b"a\r\ny: b")]),
        HttpResponse(status=200, headers=[(b"x", b"a\nb")]),
        HttpResponse(status=200, headers=[(b"x\r\ny", b"a")]),
        HttpResponse(status=200, headers=[(b"x", b"a\0b")]),
        HttpResponse(status=100),
        HttpResponse(status=1000),
    ],
)
async def test_an_answer_that_would_not_arrive_as_one_is_500(response):
    """A line break in a field would begin another answer: nothing of it is sent."""
    async with serving(lambda _: response) as served:
        answer = await served.spoken(get("/"))
    assert b"HTTP/1.1 500 " == answer[:13]
    assert b"\r\ny" not in answer


@pytest.mark.parametrize("is_later", [False, True])
async def test_a_handler_that_fails_is_500(is_later):
    """A failure tells nothing but itself, and ends the connection."""

    async def fail() -> HttpResponse:
        raise ValueError("a secret")

    def handler(_: HttpRequest) -> Answer:
        if is_later:
            return asyncio.get_running_loop().create_task(fail())
        raise ValueError("a secret")

    async with serving(handler) as served:
        answer = await served.spoken(get("/"))
    assert (b"HTTP/1.1 500 ", False) == (answer[:13], b"secret" in answer)


async def test_a_client_that_leaves_cancels_its_answer():
    """The Future of an answer is cancelled when the client closes, half-closes or resets."""
    cancelled = asyncio.Event()

    async def wait() -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with serving(lambda _: asyncio.get_running_loop().create_task(wait())) as served:
        for leave in ("close", "write_eof", "abort"):
            cancelled.clear()
            client = await served.connect()
            await client.send(get("/"))
            getattr(client.writer.transport, leave)()
            async with asyncio.timeout(30):
                await cancelled.wait()
            await client.close()


async def test_an_answer_in_chunks():
    """A body that the handler makes as it goes is chunked; to HTTP/1.0 it ends with the end."""

    async def chunks() -> Chunks:
        for piece in (b"ab", b"", b"c" * 20):
            yield piece

    async with serving(lambda _: HttpResponse(status=200, body=chunks())) as served:
        async with served.client() as client:
            await client.send(get("/") + get("/", method="HEAD") + LAST)
            for framed in (b"2\r\nab\r\n14\r\n" + b"c" * 20 + b"\r\n0\r\n\r\n", b""):
                head = await client.head()
                assert (True, False) == (
                    b"\r\ntransfer-encoding: chunked\r\n" in head,
                    b"connection" in head,
                )
                assert framed == await client.reader.readexactly(len(framed))
            assert b"connection: close" in await client.head()
        async with served.client() as client:
            await client.send(get("/", b"connection: keep-alive", version="1.0"))
            head = await client.head()
            assert (False, True) == (b"chunked" in head, b"\r\nconnection: close\r\n" in head)
            assert b"ab" + b"c" * 20 == await client.rest()


async def test_chunks_wait_for_the_client():
    """A handler makes no more than the client reads, and is closed when the client leaves."""
    made = 0
    closed = asyncio.Event()

    async def endless() -> Chunks:
        nonlocal made
        try:
            while True:
                made += 1
                yield b"a" * 10_000
        finally:
            closed.set()

    async with serving(lambda _: HttpResponse(status=200, body=endless())) as served:
        client = await served.connect()
        await client.send(get("/"))
        await _stands_still(lambda: made)
        first = made
        assert first < 2000
        await client.reader.readexactly(first * 10_000)
        await _stands_still(lambda: made)
        assert first < made
        await client.close()
        async with asyncio.timeout(30):
            await closed.wait()


async def _stands_still(read) -> None:
    async with asyncio.timeout(30):
        before = -1
        while before != read():
            before = read()
            await asyncio.sleep(0.1)


async def test_an_answer_that_breaks_does_not_look_whole():
    """A failure amid chunks ends the connection without the last chunk; what was sent arrives."""

    async def broken() -> Chunks:
        yield b"ab"
        raise ValueError

    async with serving(lambda _: HttpResponse(status=200, body=broken())) as served:
        answer = await served.spoken(get("/"))
    assert b"\r\n\r\n2\r\nab\r\n" == answer[-11:]


async def test_connections_of_one_client_are_limited():
    """Who has as many as one may have is refused; when one of them ends, it may come again."""
    limits = Limits(connections_per_client=2)
    async with serving(Echo(), limits) as served:
        first, second = await served.connect(), await served.connect()
        for client in (first, second):
            await client.send(get("/"))
            assert (200, b"GET /? ") == await client.answer()
        assert b"HTTP/1.1 503 " == (await served.spoken(LAST))[:13]
        await first.close()
        async with asyncio.timeout(30):
            while b"HTTP/1.1 503 " == (await served.spoken(LAST))[:13]:
                await asyncio.sleep(0.01)
    async with serving(Echo(), limits, client_of=lambda _: "") as served:
        for _ in range(5):
            await served.connect()
        assert b"HTTP/1.1 200 " == (await served.spoken(LAST))[:13]


async def test_connections_are_limited():
    """One connection too many is told 503; when another has gone, there is room again."""
    async with serving(Echo(), Limits(connections=2)) as served:
        first, second = await served.connect(), await served.connect()
        for client in (first, second):
            await client.send(get("/"))
            assert (200, b"GET /? ") == await client.answer()
        answer = await served.spoken(get("/"))
        assert b"HTTP/1.1 503 " == answer[:13]
        assert b"\r\nretry-after: 1\r\n" in answer
        await second.close()
        async with asyncio.timeout(30):
            while b"HTTP/1.1 503 " == (answer := await served.spoken(LAST))[:13]:
                await asyncio.sleep(0.01)
        assert b"HTTP/1.1 200 " == answer[:13]
        await first.close()
