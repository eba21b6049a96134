"""Connect, byte by byte (connectrpc.com/docs/protocol)."""

import asyncio
import base64
import json

import aiohttp
import pytest
from google.rpc import error_details_pb2
from yarl import URL

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.envelopes import framed, names, split, wire
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.test_compression import PACK, UNPACK

ECHO = "/test.v1.Echo"
PROTO = {"content-type": "application/proto"}
JSON = {"content-type": "application/json"}
STREAM = {"content-type": "application/connect+proto"}
END = 0x02


async def test_a_unary_call(http: Http, echo: Echo):
    """An answer is the bare message; all metadata is in the header, trailing as `trailer-<key>`."""
    data = wire("DeleteRequest", name="a")
    answer = await http("POST", f"{ECHO}/GetResource", data=data, headers=PROTO)
    assert (200, "application/proto") == (answer.status, answer.headers["content-type"])
    assert ["a"] == names([(0, answer.body)])
    assert ("a", "AP8") == (answer.headers["x-header"], answer.headers["x-header-bin"])
    assert "b" == answer.headers["trailer-x-trailer"]
    assert ["GetResource"] == [call.method for call in echo.calls]


async def test_json_is_read_strictly(http: Http, echo: Echo):
    """JSON in and out, by the rules of the bindings; a refusal names the field."""
    answer = await http("POST", f"{ECHO}/Get", data=b'{"text": "a"}', headers=JSON)
    assert (200, "a", "0") == (answer.status, answer.json["text"], answer.json["int64"])
    echo.calls.clear()
    for body, field in ((b'{"nope": 1}', "nope"), (b'{"flag": 1}', "flag"), (b"", ""), (b"[]", "")):
        refused = await http("POST", f"{ECHO}/Get", data=body, headers=JSON)
        assert (400, "invalid_argument") == (refused.status, refused.json["code"])
        [detail] = refused.json["details"]
        read = error_details_pb2.BadRequest.FromString(base64.b64decode(detail["value"] + "=="))
        assert ("google.rpc.BadRequest", field) == (detail["type"], read.field_violations[0].field)
    assert [] == echo.calls


@pytest.mark.parametrize(
    ("code", "name", "status"),
    [
        (1, "canceled", 499),
        (2, "unknown", 500),
        (5, "not_found", 404),
        (8, "resource_exhausted", 429),
        (9, "failed_precondition", 400),
        (10, "aborted", 409),
        (12, "unimplemented", 501),
        (14, "unavailable", 503),
        (16, "unauthenticated", 401),
    ],
)
async def test_a_failure_has_the_status_of_its_code(http: Http, code, name, status):
    """An error is JSON with the code, the message and the details; `Retry-After` tells, too."""
    data = wire("FailRequest", code=code, message="no ü")
    answer = await http("POST", f"{ECHO}/Fail", data=data, headers=PROTO)
    assert (status, name, "no ü") == (answer.status, answer.json["code"], answer.json["message"])
    types = ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "nobody.Knows"]
    assert types == [detail["type"] for detail in answer.json["details"]]
    assert ("b", "2") == (answer.headers["trailer-x-trailer"], answer.headers["retry-after"])
    assert (status == 401) == ("www-authenticate" in answer.headers)


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"connect-protocol-version": "2"}, b"", 400, "invalid_argument"),
        ({"connect-timeout-ms": "1s"}, b"", 400, "invalid_argument"),
        ({"connect-timeout-ms": "12345678901"}, b"", 400, "invalid_argument"),
        ({"content-encoding": "lzma"}, b"abc", 501, "unimplemented"),
        ({"content-encoding": "gzip"}, b"abc", 400, "invalid_argument"),
        ({}, b"a" * 262_145, 429, "resource_exhausted"),
        ({"x-a": "a" * 7500}, b"", 429, "resource_exhausted"),
    ],
)
async def test_what_is_no_unary_call_is_refused(
    http: Http, echo: Echo, headers, body, status, code
):
    """A malformed or oversized request is an error, and no call."""
    answer = await http("POST", f"{ECHO}/Get", data=body, headers={**PROTO, **headers})
    assert (status, code) == (answer.status, answer.json["code"])
    assert [] == echo.calls


@pytest.mark.parametrize("coding", PACK)
async def test_unary_bodies_may_be_compressed(http: Http, coding):
    """A unary body has HTTP's own content coding, both ways."""
    text = "a" * 2000
    headers = {**PROTO, "content-encoding": coding, "accept-encoding": coding}
    data = PACK[coding](wire("Everything", text=text))
    answer = await http("POST", f"{ECHO}/Get", data=data, headers=headers)
    assert coding == answer.headers["content-encoding"]
    assert wire("Everything", text=text) == UNPACK[coding](answer.body)


async def test_a_deadline_goes_on(http: Http, echo: Echo):
    """`connect-timeout-ms` bounds the call."""
    headers = {**PROTO, "connect-timeout-ms": "2000"}
    data = wire("Everything", text="slow")
    answer = await http("POST", f"{ECHO}/Get", data=data, headers=headers)
    assert (504, "deadline_exceeded") == (answer.status, answer.json["code"])
    # grpc rounds what it sends up.
    assert 0 < (echo.calls[0].seconds_left or 0) <= 2.2


MESSAGE = base64.urlsafe_b64encode(wire("Everything", text="a/b?")).decode()


@pytest.mark.parametrize(
    "query",
    [
        f"encoding=proto&base64=1&message={MESSAGE}&connect=v1",
        f"message={MESSAGE.rstrip('=')}&base64=1&encoding=proto",
        "encoding=json&message=%7B%22text%22%3A%22a%2Fb%3F%22%7D",
        "encoding=json&compression=identity&message=%7B%22text%22:+%22a/b?%22%7D",
        "encoding=json&base64=1&compression=gzip&message="
        + base64.urlsafe_b64encode(PACK["gzip"](b'{"text":"a/b?"}')).decode(),
    ],
)
async def test_a_call_without_side_effects_may_be_a_get(http: Http, echo: Echo, query):
    """The message stands in the query."""
    answer = await http("GET", f"{ECHO}/Get?{query}")
    assert (200, ["a/b?"]) == (answer.status, [call.request.text for call in echo.calls])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "invalid_argument"),
        ("encoding=xml&message=", 400, "invalid_argument"),
        ("encoding=proto", 400, "invalid_argument"),
        ("encoding=proto&message=&message=", 400, "invalid_argument"),
        ("encoding=proto&message=&connect=v2", 400, "invalid_argument"),
        ("encoding=proto&base64=1&message=!", 400, "invalid_argument"),
        ("encoding=proto&message=&compression=lzma", 501, "unimplemented"),
        ("encoding=proto&message=abc&compression=gzip", 400, "invalid_argument"),
        ("encoding=json&message=%FF", 400, "invalid_argument"),
    ],
)
async def test_what_is_no_get_is_refused(http: Http, echo: Echo, query, status, code):
    """A malformed query is an error, and no call."""
    answer = await http("GET", f"{ECHO}/Get?{query}")
    assert (status, code) == (answer.status, answer.json["code"])
    assert [] == echo.calls


async def test_a_call_with_side_effects_is_no_get(http: Http, echo: Echo):
    """Only methods that their contract calls free of side effects may be called by GET."""
    answer = await http("GET", f"{ECHO}/Post?encoding=proto&message=")
    assert (405, "OPTIONS, POST") == (answer.status, answer.headers["allow"])
    allowed = await http("OPTIONS", f"{ECHO}/Get")
    assert (204, "GET, OPTIONS, POST") == (allowed.status, allowed.headers["allow"])
    assert [] == echo.calls


@pytest.mark.parametrize("form", ["proto", "json"])
async def test_a_stream_ends_by_an_envelope(http: Http, form):
    """A server stream is its messages and an end, which has the trailers."""
    body = wire("WatchRequest", count=2) if form == "proto" else b'{"count": 2}'
    kind = f"application/connect+{form}"
    headers = {"content-type": kind}
    answer = await http("POST", f"{ECHO}/Watch", data=framed(body), headers=headers)
    *messages, (flags, end) = split(answer.body)
    assert (200, kind, END, {}) == (
        answer.status, answer.headers["content-type"], flags, json.loads(end)
    )  # fmt: skip
    got = names(messages) if form == "proto" else [json.loads(each)["name"] for _, each in messages]
    assert ["1", "2"] == got


async def test_a_stream_may_fail_late(http: Http):
    """What came before a failure is not lost; the end tells of it."""
    data = framed(wire("WatchRequest", count=9, fail_after=2))
    answer = await http("POST", f"{ECHO}/Watch", data=data, headers=STREAM)
    *messages, (_, end) = split(answer.body)
    assert ["1", "2"] == names(messages)
    assert {"error": {"code": "aborted", "message": "enough"}} == json.loads(end)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"", "unimplemented"),
        ({}, framed(b"") * 2, "unimplemented"),
        ({}, framed(b"abc")[:-1], "invalid_argument"),
        ({}, framed(b"", flags=2), "invalid_argument"),
        ({}, framed(b"abc", flags=1), "internal"),
        ({}, b"\0\xff\xff\xff\xff", "resource_exhausted"),
        ({"connect-content-encoding": "lzma"}, framed(b""), "unimplemented"),
        ({"connect-timeout-ms": "soon"}, framed(b""), "invalid_argument"),
        ({"connect-protocol-version": "2"}, framed(b""), "invalid_argument"),
    ],
)
async def test_what_is_no_stream_is_refused(http: Http, echo: Echo, headers, body, code):
    """A malformed or oversized request is a failure in the end, and no call."""
    answer = await http("POST", f"{ECHO}/Watch", data=body, headers={**STREAM, **headers})
    [(flags, end)] = split(answer.body)
    assert (200, END, code) == (answer.status, flags, json.loads(end)["error"]["code"])
    assert [] == echo.calls


@pytest.mark.parametrize("coding", PACK)
async def test_messages_of_streams_may_be_compressed(http: Http, coding):
    """Each message says whether it is compressed; the client says by what it may be."""
    headers = {**STREAM, "connect-content-encoding": coding, "connect-accept-encoding": coding}
    request = framed(PACK[coding](wire("ImportRequest", parent="a" * 2000)), flags=1)
    answer = await http("POST", f"{ECHO}/Chat", data=request, headers=headers)
    (flags, got), (_, end) = split(answer.body)
    assert (coding, 1, {}) == (answer.headers["connect-content-encoding"], flags, json.loads(end))
    assert wire("ImportRequest", parent="a" * 2000) == UNPACK[coding](got)


async def test_messages_come_as_they_are_made(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """A message is sent on when it comes; a client that leaves ends the call."""
    data = framed(wire("WatchRequest", count=1, endless=True))
    url = URL(gateway.url + f"{ECHO}/Watch")
    async with asyncio.timeout(30):
        async with session.post(url, data=data, headers=STREAM) as response:
            head = await response.content.readexactly(5)
            assert ["1"] == names([(0, await response.content.readexactly(head[-1]))])
            response.close()
        await echo.cancelled.wait()


@pytest.mark.parametrize(
    ("method", "target", "kind", "status", "code"),
    [
        ("POST", f"{ECHO}/Nothing", "application/proto", 404, "unimplemented"),
        ("POST", "/nobody.Knows/Get", "application/connect+json", 404, "unimplemented"),
        ("POST", f"{ECHO}/Watch", "application/proto", 415, "unknown"),
        ("POST", f"{ECHO}/Get", "application/connect+proto", 415, "unknown"),
        ("POST", f"{ECHO}/Watch", "application/connect+xml", 415, "unknown"),
        ("DELETE", f"{ECHO}/Get", "application/proto", 405, "unknown"),
    ],
)
async def test_what_is_not_there_has_a_status(http: Http, method, target, kind, status, code):
    """What is no RPC is an HTTP status with an error of Connect."""
    answer = await http(method, target, data=b"", headers={"content-type": kind})
    assert (status, code) == (answer.status, answer.json["code"])
    assert (status == 415) == ("accept-post" in answer.headers)


async def test_a_binding_keeps_its_path(http: Http, echo: Echo):
    """JSON for a path that an annotation binds is the binding's, unless it says it is Connect."""
    target = f"{ECHO}/Bound"
    bound = await http("POST", target, data=b'{"text": "a"}', headers=JSON)
    assert (200, "Post") == (bound.status, echo.calls[-1].method)
    says_so = {**JSON, "connect-protocol-version": "1"}
    for headers, body in ((says_so, b"{}"), (PROTO, b"")):
        answer = await http("POST", target, data=body, headers=headers)
        assert (501, "unimplemented") == (answer.status, answer.json["code"])
    assert 1 == len(echo.calls)
