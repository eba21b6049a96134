"""gRPC-Web, byte by byte (grpc/doc/PROTOCOL-WEB.md)."""

import asyncio
import base64
import json

import aiohttp
import pytest
from google.rpc import status_pb2

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.envelopes import framed, message, names, split, trailers, wire
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.test_compression import PACK, UNPACK

ECHO = "/test.v1.Echo"
WEB = {"content-type": "application/grpc-web+proto"}
TEXT = {"content-type": "application/grpc-web-text"}
TRAILERS = 0x80


async def test_a_unary_call(http: Http, echo: Echo):
    """An answer is a message and the trailers; initial metadata is in the header."""
    data = framed(wire("DeleteRequest", name="a"))
    answer = await http("POST", f"{ECHO}/GetResource", data=data, headers=WEB)
    (flags, body), (end, told) = split(answer.body)
    assert (200, 0, TRAILERS) == (answer.status, flags, end)
    assert ["a"] == names([(flags, body)])
    assert {"grpc-status": "0", "x-trailer": "b"} == trailers(told)
    assert ("a", "AP8") == (answer.headers["x-header"], answer.headers["x-header-bin"])
    assert ["GetResource"] == [call.method for call in echo.calls]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/grpc-web", wire("Everything", text="a")),
        ("application/grpc-web+proto", wire("Everything", text="a")),
        ("application/grpc-web+json", b'{"text": "a"}'),
        ("Application/grpc-Web+proto; charset=utf-8", wire("Everything", text="a")),
    ],
)
async def test_the_content_type_names_the_format(http: Http, kind, body):
    """The answer is in the format of the question."""
    headers = {"content-type": kind}
    answer = await http("POST", f"{ECHO}/Get", data=framed(body), headers=headers)
    [(_, got), (_, told)] = split(answer.body)
    assert kind.partition(";")[0].lower() == answer.headers["content-type"]
    assert "0" == trailers(told)["grpc-status"]
    if kind.endswith("json"):
        assert "a" == json.loads(got)["text"]
    else:
        assert body == got


@pytest.mark.parametrize("size", [1, 3, 4, 1000])
@pytest.mark.parametrize("kind", ["application/grpc-web-text", "application/grpc-web-text+proto"])
async def test_text_is_base64_both_ways(http: Http, kind, size):
    """What cannot carry bytes sends and gets base64, in pieces of any size."""
    text = base64.b64encode(framed(wire("WatchRequest", count=2)))

    async def pieces():
        for at in range(0, len(text), size):
            yield text[at : at + size]

    headers = {"content-type": kind}
    answer = await http("POST", f"{ECHO}/Watch", data=pieces(), headers=headers)
    # Each envelope is padded for itself.
    whole = b"".join(
        base64.b64decode(part + b"==") for part in answer.body.replace(b"=", b" ").split()
    )
    *messages, (end, told) = split(whole)
    assert (kind, TRAILERS) == (answer.headers["content-type"], end)
    assert (["1", "2"], "0") == (names(messages), trailers(told)["grpc-status"])


async def test_text_may_be_padded_in_its_midst(http: Http, echo: Echo):
    """A client may encode head and message each for itself."""
    data = wire("Everything", text="a")
    text = base64.b64encode(framed(data)[:5]) + base64.b64encode(data)
    await http("POST", f"{ECHO}/Get", data=text, headers=TEXT)
    assert ["a"] == [call.request.text for call in echo.calls]


async def test_a_failure_is_in_the_trailers(http: Http):
    """Code, message and details of a failed call stand in the trailers, with the others."""
    request = wire("FailRequest", code=5, message="no 100%\r\nü")
    answer = await http("POST", f"{ECHO}/Fail", data=framed(request), headers=WEB)
    [(flags, told)] = split(answer.body)
    found = trailers(told)
    assert (200, TRAILERS, "5") == (answer.status, flags, found["grpc-status"])
    assert ("no 100%25%0D%0A%C3%BC", "b") == (found["grpc-message"], found["x-trailer"])
    status = status_pb2.Status.FromString(base64.b64decode(found["grpc-status-details-bin"] + "=="))
    assert ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "nobody.Knows"] == [
        detail.TypeName() for detail in status.details
    ]


async def test_a_stream_may_fail_late(http: Http):
    """What came before a failure is not lost."""
    request = wire("WatchRequest", count=9, fail_after=2)
    answer = await http("POST", f"{ECHO}/Watch", data=framed(request), headers=WEB)
    *messages, (_, told) = split(answer.body)
    assert (["1", "2"], "10") == (names(messages), trailers(told)["grpc-status"])


async def test_many_messages_may_be_sent(http: Http):
    """Client streams are as many envelopes, however they are cut into pieces."""
    body = b"".join(framed(wire("ImportRequest", parent=str(number))) for number in range(100))

    async def pieces():
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    answer = await http("POST", f"{ECHO}/Import", data=pieces(), headers=WEB)
    [(_, got), (_, told)] = split(answer.body)
    assert "0" == trailers(told)["grpc-status"]
    requests = type(message("ImportResponse")).FromString(got).requests
    assert [str(number) for number in range(100)] == [each.parent for each in requests]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "12"),
        (framed(b"") * 2, {}, "12"),
        (framed(b"abc")[:-1], {}, "3"),
        (framed(b"")[:3], {}, "3"),
        (framed(b"abc", flags=1), {}, "13"),
        (framed(b"abc", flags=4), {}, "13"),
        (framed(b"abc", flags=0x80), {}, "13"),
        (b"\0\xff\xff\xff\xff", {}, "8"),
        (framed(b"a" * 262_145), {}, "8"),
        (framed(b"abc"), {"grpc-encoding": "lzma"}, "12"),
        (framed(b"abc", flags=1), {"grpc-encoding": "gzip"}, "3"),
        (framed(PACK["gzip"](b"a" * 300_000), flags=1), {"grpc-encoding": "gzip"}, "8"),
        (framed(PACK["br"](b"a" * 10_000_000), flags=1), {"grpc-encoding": "br"}, "8"),
        (framed(PACK["zstd"](b"a" * 10_000_000), flags=1), {"grpc-encoding": "zstd"}, "8"),
        (framed(b""), {"grpc-timeout": "soon"}, "3"),
        (framed(b""), {"x-a-bin": "?"}, "3"),
        (framed(b""), {"x-a": "a" * 7500}, "8"),
        (b"!", {"content-type": "application/grpc-web-text"}, "3"),
        (framed(b'{"nope": 1}'), {"content-type": "application/grpc-web+json"}, "3"),
        (framed(b'{"int32": true}'), {"content-type": "application/grpc-web+json"}, "3"),
        (framed(b""), {"content-type": "application/grpc-web+json"}, "3"),
    ],
)
async def test_what_is_no_call_is_refused(http: Http, echo: Echo, body, headers, code):
    """A malformed or oversized request is a failure in the trailers, and no call."""
    answer = await http("POST", f"{ECHO}/Get", data=body, headers={**WEB, **headers})
    is_text = "text" in answer.headers["content-type"]
    [(flags, told)] = split(base64.b64decode(answer.body) if is_text else answer.body)
    assert (200, TRAILERS, code) == (answer.status, flags, trailers(told)["grpc-status"])
    assert "zstd,br,gzip,identity" == answer.headers["grpc-accept-encoding"]
    assert [] == echo.calls


@pytest.mark.parametrize("coding", PACK)
async def test_messages_may_be_compressed(http: Http, coding):
    """Each message says whether it is compressed; the client says by what it may be."""
    text = "a" * 2000
    headers = {**WEB, "grpc-encoding": coding, "grpc-accept-encoding": f"x, {coding}, identity"}
    data = framed(PACK[coding](wire("Everything", text=text)), flags=1)
    answer = await http("POST", f"{ECHO}/Get", data=data, headers=headers)
    [(flags, got), _] = split(answer.body)
    assert (coding, 1) == (answer.headers["grpc-encoding"], flags)
    assert wire("Everything", text=text) == UNPACK[coding](got)
    short = await http("POST", f"{ECHO}/Get", data=framed(b""), headers=headers)
    assert 0 == split(short.body)[0][0]


async def test_header_fields_are_metadata(http: Http, echo: Echo):
    """What a client sets goes to the service, but for what is HTTP's, a proxy's or an identity."""
    kept = {"x-custom": "a b", "x-more-bin": "AP8,AQ", "authorization": "Bearer t"}
    dropped = {
        "cookie": "a=b",
        "origin": "https://shop.example",
        "referer": "https://shop.example/",
        "sec-fetch-site": "same-site",
        "accept-language": "de",
        "x-grpc-web": "1",
        "x-user-agent": "grpc-web-javascript/0.1",
        "x-souk-service": "order",
        "x-user-id": "u1",
        "x-consumer-username": "partner",
        "x-forwarded-for": "10.0.0.1",
        "grpc-status-details-bin": "AA",
        "connect-protocol-version": "1",
    }
    headers = {**WEB, **kept, **dropped}
    await http("POST", f"{ECHO}/Get", data=framed(b""), headers=headers)
    [call] = echo.calls
    got = [(key, value) for key, value in call.metadata if key in {**kept, **dropped}]
    expected = [("x-custom", "a b"), ("x-more-bin", b"\x00\xff"), ("x-more-bin", b"\x01")]
    assert sorted([*expected, ("authorization", "Bearer t")], key=str) == sorted(got, key=str)


async def test_a_deadline_goes_on(http: Http, echo: Echo):
    """`grpc-timeout` bounds the call."""
    headers = {**WEB, "grpc-timeout": "2S"}
    data = framed(wire("Everything", text="slow"))
    answer = await http("POST", f"{ECHO}/Get", data=data, headers=headers)
    assert "4" == trailers(split(answer.body)[0][1])["grpc-status"]
    # grpc rounds what it sends up.
    assert 0 < (echo.calls[0].seconds_left or 0) <= 2.2


async def test_messages_come_as_they_are_made(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """A message is sent on when it comes; a client that leaves ends the call."""
    data = framed(wire("WatchRequest", count=1, endless=True))
    url = gateway.url + f"{ECHO}/Watch"
    async with asyncio.timeout(30):
        async with session.post(url, data=data, headers=WEB) as response:
            head = await response.content.readexactly(5)
            assert ["1"] == names([(0, await response.content.readexactly(head[-1]))])
            response.close()
        await echo.cancelled.wait()


async def test_a_page_may_call(http: Http):
    """CORS lets a page of a named origin send what gRPC-Web sends, and read what it answers."""
    origin = {"origin": "https://shop.example"}
    asked = "content-type,x-grpc-web,x-user-agent,grpc-timeout,authorization"
    ask = {"access-control-request-method": "POST", "access-control-request-headers": asked}
    preflight = await http("OPTIONS", f"{ECHO}/Get", headers={**origin, **ask})
    assert (204, asked) == (preflight.status, preflight.headers["access-control-allow-headers"])
    answer = await http("POST", f"{ECHO}/Get", data=framed(b""), headers={**WEB, **origin})
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"*", "grpc-status", "grpc-message", "grpc-status-details-bin"} <= set(exposed)
    assert "https://shop.example" == answer.headers["access-control-allow-origin"]
    stranger = await http(
        "OPTIONS", f"{ECHO}/Get", headers={"origin": "https://evil.example", **ask}
    )
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize(
    ("method", "target", "kind", "status"),
    [
        ("POST", f"{ECHO}/Nothing", "application/grpc-web", 404),
        ("POST", "/nobody.Knows/Get", "application/grpc-web", 404),
        ("POST", f"{ECHO}/Get", "application/grpc", 415),
        ("POST", f"{ECHO}/Get", "application/grpc+proto", 415),
        ("POST", f"{ECHO}/Get", "application/grpc-web+thrift", 415),
        ("POST", f"{ECHO}/Get", "text/plain", 415),
        ("PUT", f"{ECHO}/Post", "application/grpc-web", 405),
        ("GET", f"{ECHO}/Post", "application/grpc-web", 405),
    ],
)
async def test_what_is_not_there_has_a_status(http: Http, method, target, kind, status):
    """What is no RPC is an HTTP status, which clients map to a code of gRPC."""
    answer = await http(method, target, data=b"", headers={"content-type": kind})
    assert (status, "text/plain") == (answer.status, answer.headers["content-type"])
    assert ("OPTIONS, POST" if status == 405 else None) == answer.headers.get("allow")
    assert (status == 415) == ("accept-post" in answer.headers)
