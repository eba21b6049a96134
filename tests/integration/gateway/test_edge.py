"""The HTTP edge: what is refused before a request is a request, limits, and ends."""

import asyncio
import gzip
import json
import signal

import aiohttp
import pytest

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway, running

POST = b"POST /v1/everything HTTP/1.1\r\nhost: a\r\n"
JSON = {"content-type": "application/json"}


async def spoken(gateway: Gateway, text: bytes, *, seconds: float = 5) -> bytes:
    """Sends bytes and reads until the gateway closes."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(text)
    async with asyncio.timeout(seconds):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v1/texts/a\r\n\r\n", 400),
        (b"GET /v1/texts/a HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/texts/a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET /v1/texts/a HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
        (b"GET /v1/texts/a HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n", 400),
        (b"GET /v1/texts/\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET /v1/everything?text=\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (
            POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            400,
        ),
        (
            POST + b"transfer-encoding: chunked, x\r\n\r\n",
            400,
        ),
        (b"GET /v1/texts/" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 17000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: aaaaaaaa\r\n" * 2000 + b"\r\n", 431),
    ],
)
async def test_what_is_no_request_is_refused(gateway: Gateway, echo: Echo, request_text, status):
    """Malformed, ambiguous and oversized requests end with a status, and with the connection."""
    answer = await spoken(gateway, request_text)
    assert b"HTTP/1.1 %d " % status == answer[:13]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert {"code", "message", "details"} == json.loads(body).keys()
    assert [] == echo.calls


@pytest.mark.parametrize("name", ["authorization", "grpc-metadata-x-a"])
async def test_metadata_is_limited(http: Http, echo: Echo, name):
    """More metadata than a service takes is 431, not a failure of the service."""
    answer = await http("GET", "/v1/texts/a", headers={name: "a" * 7500})
    assert 431 == answer.status
    assert 200 == (await http("GET", "/v1/texts/a", headers={name: "a" * 6500})).status
    assert 1 == len(echo.calls)


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway):
    """Requests sent before an answer are answered one after another."""
    first = b"GET /v1/texts/a HTTP/1.1\r\nhost: a\r\n\r\n"
    last = b"GET /v1/texts/b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    answer = await spoken(gateway, first + last)
    assert 0 < answer.find(b'"text":"a"') < answer.find(b'"text":"b"')


async def test_a_body_is_limited(http: Http, echo: Echo):
    """A body above 256 KiB is 413, sent at once or in chunks, also when it was compressed."""
    body = json.dumps({"text": "a" * 300_000}).encode()

    async def chunks():
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    for data, headers in (
        (body, {}),
        (chunks(), {}),
        (gzip.compress(body), {"content-encoding": "gzip"}),
    ):
        sent = {**JSON, **headers}
        answer = await http("POST", "/v1/everything", data=data, headers=sent)
        assert (413, 3) == (answer.status, answer.json["code"])
    assert [] == echo.calls


async def test_a_body_without_an_end_is_cut_off(gateway: Gateway):
    """A client that sends on and on after its answer loses the connection."""
    _, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(POST + b"content-length: 100000000\r\ncontent-type: application/json\r\n\r\n")
    sent = 0
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError):
            while sent < 100_000_000:
                writer.write(b"a" * 100_000)
                await writer.drain()
                sent += 100_000
    assert 300_000 < sent < 50_000_000
    writer.close()


@pytest.mark.parametrize("depth", [99, 101, 5_000])
async def test_nesting_is_limited(http: Http, depth):
    """JSON nested deeper than a hundred levels is a 400, however deep."""
    body = '{"child":' * depth + "{}" + "}" * depth
    answer = await http("POST", "/v1/everything", data=body.encode(), headers=JSON)
    assert (200 if depth < 100 else 400) == answer.status


async def test_an_unreachable_service_is_told_without_its_address(descriptor_file):
    """A service that cannot be reached is 503, in words of the gateway's own."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", "*=127.0.0.1:1")
    async with (
        running(*arguments, "--access", "open") as gateway,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{gateway.url}/v1/texts/a") as response:
            answer = await response.json()
        assert (503, "the service cannot be reached") == (response.status, answer["message"])
        async with session.get(f"{gateway.url}/readyz") as response:
            answer = await response.json()
        expected = {"status": "not ready", "upstreams": {"test.v1.Echo": "not ready"}}
        assert (503, expected) == (response.status, answer)
        async with session.get(f"{gateway.url}/healthz") as response:
            assert (200, {"status": "alive"}) == (response.status, await response.json())


async def test_a_drain_finishes_what_runs(echo: Echo, descriptor_file):
    """After SIGTERM a running request is answered, a new connection is not, and the exit is 0."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={echo.address}")
    async with (
        running(*arguments, "--access", "open") as gateway,
        aiohttp.ClientSession() as session,
    ):
        sent: asyncio.Queue[bytes] = asyncio.Queue()

        async def body():
            while message := await sent.get():
                yield message

        await sent.put(b'{"parent": "1"}\n')
        async with session.post(f"{gateway.url}/v1/chat", data=body(), headers=JSON) as response:
            await response.content.readline()
            gateway.process.send_signal(signal.SIGTERM)
            await _refuses(gateway)
            await sent.put(b'{"parent": "2"}\n')
            assert b'"parent":"2"' in await response.content.readline()
            await sent.put(b"")
            await response.content.read()
        async with asyncio.timeout(30):
            assert 0 == await gateway.process.wait()


async def _refuses(gateway: Gateway) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(gateway.host, gateway.port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)
