"""Streams through the gateway: NDJSON, events, uploads, both ways at once, and their ends."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway

LINES = {"content-type": "application/x-ndjson"}
EVENTS = {"accept": "text/event-stream"}


def lines(body: bytes) -> list[Any]:
    """Reads NDJSON."""
    return [json.loads(line) for line in body.splitlines()]


async def test_a_stream_is_a_line_a_message(http: Http):
    """A server stream is NDJSON, each line a message."""
    answer = await http("GET", "/v1/resources:watch?count=3")
    assert (200, "application/x-ndjson") == (answer.status, answer.headers["content-type"])
    assert ["1", "2", "3"] == [line["name"] for line in lines(answer.body)]


async def test_a_stream_of_parts(http: Http):
    """`response_body` gives a line a part."""
    assert ["1", "2"] == lines((await http("GET", "/v1/names:watch?count=2")).body)


async def test_an_empty_stream_is_an_answer(http: Http):
    """A stream without a message is 200 without a line."""
    answer = await http("GET", "/v1/resources:watch")
    assert (200, b"") == (answer.status, answer.body)


async def test_a_stream_is_events_on_demand(http: Http):
    """Who accepts text/event-stream gets events with ids, which go on from `Last-Event-ID`."""
    answer = await http("GET", "/v1/names:watch?count=2", headers=EVENTS)
    assert "text/event-stream" == answer.headers["content-type"]
    assert b'id: 1\ndata: "1"\n\nid: 2\ndata: "2"\n\n' == answer.body
    again = await http("GET", "/v1/names:watch?count=1", headers={**EVENTS, "last-event-id": "2"})
    assert b'id: 3\ndata: "1"\n\n' == again.body


@pytest.mark.parametrize("headers", [{}, EVENTS])
async def test_a_stream_that_fails_at_once_has_a_status(http: Http, headers):
    """A failure before the first message is an answer of its own."""
    answer = await http("GET", "/v1/resources:watch?failAfter=-1", headers=headers)
    assert (404, 5, "no such thing") == (
        answer.status, answer.json["code"], answer.json["message"]
    )  # fmt: skip


async def test_a_stream_that_fails_later_says_so_in_band(http: Http):
    """A failure after the first message is the last line, or the event `error`."""
    answer = await http("GET", "/v1/names:watch?count=9&failAfter=2")
    status = {"code": 10, "message": "enough", "details": []}
    expected = ["1", "2", {"@type": "type.googleapis.com/google.rpc.Status", **status}]
    assert expected == lines(answer.body)
    events = await http("GET", "/v1/names:watch?count=9&failAfter=1", headers=EVENTS)
    *_, last = events.body.split(b"\n\n")[:-1]
    name, data = last.split(b"\n")
    assert (b"event: error", status) == (name, json.loads(data.removeprefix(b"data: ")))


async def test_messages_come_as_they_are_made(gateway: Gateway, session: aiohttp.ClientSession):
    """A message is sent on when it comes, not when the stream ends."""
    url = f"{gateway.url}/v1/names:watch?count=1&endless=true"
    async with session.get(url) as response, asyncio.timeout(30):
        assert b'"1"\n' == await response.content.readline()


@pytest.mark.parametrize("headers", [{}, EVENTS])
async def test_a_client_that_leaves_ends_the_call(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo, headers
):
    """The RPC is cancelled when the client goes away."""
    url = f"{gateway.url}/v1/names:watch?count=1&endless=true"
    async with session.get(url, headers=headers) as response:
        await response.content.readline()
        response.close()
    async with asyncio.timeout(30):
        await echo.cancelled.wait()


async def test_head_of_a_stream_ends_the_call(http: Http, echo: Echo):
    """HEAD answers the header of a stream and waits for no more of it."""
    answer = await http("HEAD", "/v1/names:watch?count=1&endless=true")
    assert (200, "application/x-ndjson") == (answer.status, answer.headers["content-type"])
    async with asyncio.timeout(30):
        await echo.cancelled.wait()


async def test_a_silent_stream_is_answered(gateway: Gateway, session: aiohttp.ClientSession):
    """A stream without a message yet still begins its answer."""
    async with asyncio.timeout(30):
        async with session.get(f"{gateway.url}/v1/names:watch?endless=true") as response:
            assert 200 == response.status
            response.close()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"name": "a"}\n{"name": "b"}\n', ["a", "b"]),
        (b'\n{"name": "a"}\r\n\n{"name": "b"}', ["a", "b"]),
        (b'[{"name": "a"}, {"name": "],}\\"["}]', ["a", '],}"[']),
        (b' [\n{"name": "a"}\n]\n', ["a"]),
        (b"[]", []),
        (b"", []),
    ],
)
async def test_an_upload_is_lines_or_an_array(http: Http, body, names):
    """A client stream is NDJSON or one JSON array; path and query bind every message."""
    answer = await http("POST", "/v1/parents/p:import", data=body, headers=LINES)
    assert 200 == answer.status
    requests = [(each["parent"], each["resource"]["name"]) for each in answer.json["requests"]]
    assert [("p", name) for name in names] == requests


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "a"}\n{"name": 1}\n', "resource.name"),
        (b'{"name": "a"}\n{"name"\n', ""),
        (b'[{"name": "a"}, {"nope": 1}]', "resource.nope"),
        (b'[{"name": "a"},]', ""),
        (b'[,{"name": "a"}]', ""),
        (b'[{"name": "a"}', ""),
        (b'[{"name": "a"}] x', ""),
        (b"[{]}]", ""),
    ],
)
async def test_a_bad_upload_is_refused(http: Http, body, field):
    """A message that is not one ends the call with a 400."""
    headers = {"content-type": "application/json"}
    answer = await http("POST", "/v1/parents/p:import", data=body, headers=headers)
    assert 400 == answer.status
    assert field == answer.json["details"][0]["fieldViolations"][0]["field"]


async def test_one_message_of_an_upload_is_limited_not_the_whole(http: Http):
    """Each message may have 256 KiB; the body may have more."""
    line = json.dumps({"name": "a", "title": "x" * 200_000}).encode() + b"\n"
    answer = await http("POST", "/v1/parents/p:import", data=line * 3, headers=LINES)
    assert (200, 3) == (answer.status, len(answer.json["requests"]))
    long = json.dumps({"name": "x" * 300_000}).encode()
    assert 413 == (await http("POST", "/v1/parents/p:import", data=long, headers=LINES)).status


@pytest.mark.parametrize(("name", "status", "code"), [("fail", 400, 9), ("stop", 200, None)])
async def test_a_service_may_answer_before_the_upload_ends(http: Http, name, status, code):
    """What a service says before all is sent is the answer."""
    rest = json.dumps({"name": "a", "title": "x" * 20_000}).encode() + b"\n"
    first = json.dumps({"name": name}).encode() + b"\n"

    async def body():
        yield first
        for _ in range(100):
            yield rest

    answer = await http("POST", "/v1/parents/p:import", data=body(), headers=LINES)
    assert (status, code) == (answer.status, answer.json.get("code"))


async def test_both_ways_at_once(gateway: Gateway, session: aiohttp.ClientSession):
    """Each message of a bidirectional stream is answered before the next one is sent."""
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def body():
        while message := await sent.get():
            yield message

    await sent.put(b'{"parent": "1"}\n')
    async with asyncio.timeout(30):
        async with session.post(f"{gateway.url}/v1/chat", data=body(), headers=LINES) as response:
            first = json.loads(await response.content.readline())
            await sent.put(b'{"parent": "2"}\n')
            second = json.loads(await response.content.readline())
            await sent.put(b"")
            assert b"" == await response.content.read()
    assert ["1", "2"] == [first["parent"], second["parent"]]


async def test_a_raw_stream_is_one_body(http: Http):
    """A stream of google.api.HttpBody is its data, one after another."""
    answer = await http("GET", "/v1/files/three")
    assert (b"one two three", "text/plain") == (answer.body, answer.headers["content-type"])


@pytest.mark.parametrize(
    ("sizes", "messages"), [((), 0), ((1,), 1), ((10, 20, 30), 3), ((600_000,), None)]
)
async def test_a_raw_upload_is_sent_on_in_pieces(http: Http, echo: Echo, sizes, messages):
    """A stream of google.api.HttpBody gets a body as it comes, however large, with its type."""

    async def pieces():
        for number, size in enumerate(sizes, start=1):
            yield b"a" * size
            async with asyncio.timeout(20):
                while echo.received < number:
                    await asyncio.sleep(0.01)

    headers = {"content-type": "image/png"}
    answer = await http("POST", "/v1/uploads/b", data=pieces(), headers=headers)
    assert (200, str(sum(sizes))) == (answer.status, answer.json["bytes"])
    if sizes:
        assert ("b", "image/png") == (answer.json["name"], answer.json["contentType"])
    if messages is not None:
        assert messages == answer.json["messages"]


async def test_a_slow_reader_slows_the_service(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """What a client does not read stays with the service; it sends on when the client reads on."""
    total, size = 2_000, 50_000
    url = f"{gateway.url}/v1/resources:watch?count={total}&titleBytes={size}"
    async with asyncio.timeout(100), session.get(url) as response:
        await _until_still(lambda: echo.sent)
        # Buffers of four sockets and a window or two, of a hundred megabytes.
        assert 0 < echo.sent < total // 2
        while await response.content.readany():
            pass
        assert total == echo.sent


async def test_a_slow_service_slows_the_client(gateway: Gateway, echo: Echo):
    """What a service does not take stays with the client."""
    line = json.dumps({"name": "a", "title": "x" * 50_000}).encode() + b"\n"
    chunk = b"%x\r\n%b\r\n" % (len(line), line)
    head = b"POST /v1/parents/slow:import HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    _, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(head)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            writer.write(chunk)
            await writer.drain()
            sent += 1

    async with asyncio.timeout(30):
        sending = asyncio.create_task(send())
        await _until_still(lambda: sent and echo.received)
        await _until_still(lambda: sent)
        assert 0 < sent < 1_000
        assert 1 == echo.received
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    writer.transport.abort()


async def _until_still(count: Callable[[], int]) -> None:
    """Waits until a number has begun to grow and has not for half a second."""
    last = -1
    while count() == 0 or count() != last:
        last = count()
        await asyncio.sleep(0.5)


async def test_a_client_that_leaves_in_its_upload_ends_the_call(gateway: Gateway, echo: Echo):
    """Half an upload does not pass for a whole one: the RPC is cancelled."""
    _, writer = await asyncio.open_connection(gateway.host, gateway.port)
    line = b'{"name": "a"}\n'
    writer.write(
        b"POST /v1/parents/waits:import HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n" % (len(line), line)
    )
    async with asyncio.timeout(30):
        while echo.received == 0:
            await asyncio.sleep(0.01)
        writer.close()
        await echo.cancelled.wait()


async def test_the_last_event_is_told_to_the_service(http: Http, echo: Echo):
    """`Last-Event-ID` goes to the service, which alone knows what it has sent before."""
    for last, first in (("41", b"id: 42\n"), ("a-7", b"id: 1\n")):
        headers = {**EVENTS, "last-event-id": last}
        answer = await http("GET", "/v1/names:watch?count=1", headers=headers)
        assert answer.body.startswith(first)
        assert last == dict(echo.calls[-1].metadata)["last-event-id"]
