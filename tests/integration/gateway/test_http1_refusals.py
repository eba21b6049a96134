"""What is no request, byte by byte: refused with a status, and the connection ends.

Whatever two servers could read in two ways is a way to smuggle a request past one of them
(RFC 9112 section 11.2): nothing here is repaired, all of it is refused.
"""

import asyncio
import json

import pytest

from tests.integration.gateway.raw_http import Echo, serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
UPGRADE = b"connection: upgrade\r\nupgrade: h2c\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"

REQUEST_LINES = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / http/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET / ICE/1.0\r\nhost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.\r\nhost: a\r\n\r\n", 400),
    (b"GET / HTTP/0.9\r\nhost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.2\r\nhost: a\r\n\r\n", 505),
    (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /  HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b" GET / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"G@T / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"G\x80T / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"M" * 33 + b" / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 501),
    (b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /a\x00b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /a\x7fb HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /#a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET http:///a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET http://a@b/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    (b"GET /" + b"a" * 9000, 414),
    (b"\x16\x03\x01\x02\x00\x01\x00", 400),
]

HOSTS = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (GET + b"host: a\r\n\r\n", 400),
    (GET + b"host: b\r\n\r\n", 400),
    (b"GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", 400),
    (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
]

FIELDS = [
    (GET + b"no colon\r\n\r\n", 400),
    (GET + b": a\r\n\r\n", 400),
    (GET + b"x : a\r\n\r\n", 400),
    (GET + b" x: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n x: a\r\nhost: a\r\n\r\n", 400),
    (GET + b"x: a\r\n b\r\n\r\n", 400),
    (GET + b"x: a\r\n\tb\r\n\r\n", 400),
    (GET + b"x(y): a\r\n\r\n", 400),
    (GET + b"x\xff: a\r\n\r\n", 400),
    (GET + b"x: a\x00b\r\n\r\n", 400),
    (GET + b"x: a\x01b\r\n\r\n", 400),
    (GET + b"x: a\x1fb\r\n\r\n", 400),
    (GET + b"x: a\x7fb\r\n\r\n", 400),
    (GET + b"x: a\rb\r\n\r\n", 400),
    (GET + b"x: a\nb: c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nhost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nhost: a\r\n\n", 400),
    (b"GET / HTTP/1.1\nhost: a\n\n", 400),
    (GET + b"x: " + b"a" * 17_000 + b"\r\n\r\n", 431),
    (GET + b"x: aaaaaaaa\r\n" * 2000 + b"\r\n", 431),
    (GET + b"x: a\r\n" * 100 + b"\r\n", 431),
    (GET + b"x: " + b"a" * 17_000, 431),
]

LENGTHS = [
    (POST + b"content-length: 2\r\ncontent-length: 2\r\n\r\nab", 400),
    (POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\nab", 400),
    (POST + b"content-length: 2, 2\r\n\r\nab", 400),
    (POST + b"content-length: +2\r\n\r\nab", 400),
    (POST + b"content-length: -2\r\n\r\nab", 400),
    (POST + b"content-length: 0x2\r\n\r\nab", 400),
    (POST + b"content-length: 2.0\r\n\r\nab", 400),
    (POST + b"content-length: 2 2\r\n\r\nab", 400),
    (POST + b"content-length: two\r\n\r\nab", 400),
    (POST + b"content-length:\r\n\r\nab", 400),
    (POST + b"content-length: 99999999999999999999999\r\n\r\nab", 400),
    (POST + b"content-length : 2\r\n\r\nab", 400),
]

CODINGS = [
    (POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n", 400),
    (POST + b"content-length: 2\r\ntransfer-encoding: x\r\n\r\nab", 400),
    (POST + b"transfer-encoding: chunked, x\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: identity\r\n\r\n", 400),
    (POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n", 400),
    (POST + b'transfer-encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    (POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding:\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (POST + b"transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
]

CHUNKS = [
    (CHUNKED + b"x\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"-2\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"+2\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b" 2\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2\rXab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2\r\nab\n0\r\n\r\n", 400),
    (CHUNKED + b"2\r\nab0\r\n\r\n", 400),
    (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2;a\x00b\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b'2;a="\r\nab\r\n0\r\n\r\n', 400),
    (CHUNKED + b"fffffffffffffffff\r\nab\r\n0\r\n\r\n", 400),
    (CHUNKED + b"2\r\nab\r\n0\n\n\r\n\r\n", 400),
    (CHUNKED + b"2\r\nab\r\n0\r\nx y\r\n\r\n", 400),
    (CHUNKED + b"2\r\nab\r\n0\r\ncontent-length: 3\r\n\r\n", 400),
    (CHUNKED + b"2;" + b"a" * 17_000 + b"\r\nab\r\n0\r\n\r\n", 431),
    (CHUNKED + b"2\r\nab\r\n0\r\nx: " + b"a" * 17_000 + b"\r\n\r\n", 431),
]

EXPECTATIONS = [
    (POST + b"content-length: 9999\r\nexpect: a-pony\r\n\r\n", 417),
]


@pytest.mark.parametrize(
    ("sent", "status"),
    [*REQUEST_LINES, *HOSTS, *FIELDS, *LENGTHS, *CODINGS, *CHUNKS, *EXPECTATIONS],
)
async def test_what_is_no_request_is_refused(sent: bytes, status: int):
    """It is answered with a google.rpc.Status, and nothing after it is taken for a request."""
    echo = Echo()
    smuggled = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n" if sent.endswith(b"\r\n\r\n") else b""
    async with serving(echo) as served:
        answer = await served.spoken(sent + smuggled)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"HTTP/1.1 %d " % status == head[:13]
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-request-id: " in head
    assert {"code", "message", "details"} == json.loads(body).keys()
    assert [] == [each.path for each in echo.requests if each.body is not None]


async def test_a_body_that_goes_wrong_cancels_what_reads_it():
    """A handler that has begun is cancelled when the rest of its body is malformed, or missing."""
    echo = Echo()
    async with serving(echo) as served:
        async with served.client() as client:
            await client.send(CHUNKED + b"2\r\nab\r\n")
            await client.send(b"x\r\n")
            assert b"HTTP/1.1 400 " == (await client.rest())[:13]
        async with served.client() as client:
            await client.send(POST + b"content-length: 9\r\n\r\nab")
            client.writer.write_eof()
            assert b"" == await client.rest()
    assert (2, []) == (len(echo.requests), echo.bodies)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (GET + b"\r\n", b"GET /? "),
        (b"\r\n\r\n" + GET + b"\r\n", b"GET /? "),
        (b"GET /a%2Fb?c=d?e HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /a%2Fb?c=d?e "),
        (b"GET http://b:80/x?y HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /x?y "),
        (b"GET HTTPS://b?y HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /?y "),
        (b"PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n", b"PROPFIND /? "),
        (b"FOO / HTTP/1.1\r\nhost: a\r\n\r\n", b"FOO /? "),
        (b"get / HTTP/1.1\r\nhost: a\r\n\r\n", b"get /? "),
        (b"SOURCE / HTTP/1.1\r\nhost: a\r\n\r\n", b"SOURCE /? "),
        (b"M-SEARCH / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab", b"M-SEARCH /? ab"),
        (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", b"GET /? "),
        (b"GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", b"GET /? "),
        (GET + b"x: a\tb \xff\r\ny:\r\nz:a\r\n\r\n", b"GET /? "),
        (GET + b"content-length: 2\r\n\r\nab", b"GET /? ab"),
        (POST + b"content-length: 0\r\n\r\n", b"POST /? "),
        (POST + b"Content-Length: 02 \r\n\r\nab", b"POST /? ab"),
        (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", b"POST /? "),
        (CHUNKED + b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"POST /? abc"),
        (CHUNKED + b"A\r\n0123456789\r\n03\r\nabc\r\n0\r\n\r\n", b"POST /? 0123456789abc"),
        (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"POST /? \r\n\r\n"),
        (POST + UPGRADE + b"content-length: 2\r\n\r\nab", b"POST /? ab"),
        (POST + UPGRADE + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"POST /? "),
    ],
)  # fmt: skip
async def test_what_is_a_request_is_taken(sent: bytes, told: bytes):
    """What RFC 9112 allows reaches the handler, at once or byte by byte; so does the next one."""
    echo = Echo()
    async with serving(echo) as served:
        async with served.client() as client:
            await client.send(sent + b"FOO /next HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (200, told) == await client.answer()
            assert (200, b"FOO /next? ") == await client.answer()
        async with served.client() as client:
            for at in range(len(sent)):
                client.writer.write(sent[at : at + 1])
                await client.writer.drain()
            assert (200, told) == await client.answer()


async def test_a_long_beginning_is_judged_at_once():
    """What cannot become a request any more is refused on sight, in time linear to its length."""
    echo = Echo()
    for sent in (b"GET /" + b"a" * 8000 + b"\x80", b"GET / HTTP/1.1\r\nx: " + b"a" * 16000 + b"\n"):
        async with serving(echo) as served, asyncio.timeout(30):
            assert b"HTTP/1.1 400 " == (await served.spoken(sent))[:13]


async def test_a_trailer_is_no_header():
    """Fields after a chunked body are not taken for fields of the request."""
    echo = Echo()
    async with serving(echo) as served, served.client() as client:
        await client.send(CHUNKED + b"2\r\nab\r\n0\r\nauthorization: x\r\nhost: b\r\n\r\n")
        assert (200, b"POST /? ab") == await client.answer()
    expected = [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
    assert expected == echo.requests[0].headers


async def test_an_authority_in_the_target_stands_for_host():
    """RFC 9112 section 3.2.2: of the two, the target's counts."""
    echo = Echo()
    async with serving(echo) as served, served.client() as client:
        await client.send(b"GET http://b/ HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n")
        await client.answer()
    assert [(b"x", b"y"), (b"host", b"b")] == echo.requests[0].headers
