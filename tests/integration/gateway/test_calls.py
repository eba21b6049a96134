"""Unary calls through the gateway: routing, answers, errors, metadata, tags."""

import asyncio
import base64
import json

import aiohttp
import pytest

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway


async def test_a_call_goes_down_and_comes_back(http: Http, echo: Echo):
    """A request becomes a message, and the answer JSON with every field that has no presence."""
    answer = await http("POST", "/v1/texts/a:child", json={"number": 7, "tags": ["x"], "named": {}})
    assert 200 == answer.status
    assert "application/json" == answer.headers["content-type"]
    assert {"text": "", "number": 7, "tags": ["x"], "named": {}} == answer.json["child"]
    assert ("a", "0", "KIND_UNSPECIFIED") == tuple(
        answer.json[name] for name in ("text", "int64", "kind")
    )
    assert "maybe" not in answer.json
    assert ["Post"] == [call.method for call in echo.calls]


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("child", {"child": {"number": 1}}, {"text": "", "number": 1, "tags": [], "named": {}}),
        ("child", {}, {"text": "", "number": 0, "tags": [], "named": {}}),
        ("time", {}, None),
        ("time", {"time": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:00Z"),
        ("tags", {"tags": ["a"]}, ["a"]),
        ("text", {"text": "é"}, "é"),
        ("labels", {"labels": {"a": "b"}}, {"a": "b"}),
        (
            "children",
            {"children": [{"number": 1}]},
            [{"text": "", "number": 1, "tags": [], "named": {}}],
        ),
    ],
)
async def test_an_answer_can_be_a_part(http: Http, echo: Echo, path, body, answer):
    """`response_body` gives the JSON of one field: a message, a list, a map or a scalar."""
    assert answer == json.loads((await http("POST", f"/v1/parts/{path}", json=body)).body)
    assert 1 == len(echo.calls)


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"),
    [
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/v1/texts", 404, None),
        ("GET", "/v1/texts/", 404, None),
        ("GET", "/v1/texts/a/", 404, None),
        ("GET", "/test.v1.Echo/Nothing", 404, None),
        ("PATCH", "/v1/texts/a", 405, "DELETE, GET, HEAD, POST, PURGE"),
        ("OPTIONS", "/v1/texts/a", 204, "DELETE, GET, HEAD, OPTIONS, POST, PURGE"),
        ("OPTIONS", "/v1/nothing", 404, None),
        ("POST", "/v1/any-method", 200, None),
    ],
)
async def test_what_is_not_routed(http: Http, echo: Echo, method, target, status, allow):
    """An unknown path is 404, a known one with another method 405 with `Allow`."""
    answer = await http(method, target)
    assert (status, allow) == (answer.status, answer.headers.get("allow"))
    if status in (404, 405):
        assert {"code", "message", "details"} == answer.json.keys()
    assert len(echo.calls) == (status == 200)


async def test_head_is_get_without_the_body(http: Http, echo: Echo):
    """HEAD calls the method and answers the header of GET."""
    get, head = [await http(method, "/v1/texts/a") for method in ("GET", "HEAD")]
    assert (200, b"") == (head.status, head.body)
    assert get.headers["content-length"] == head.headers["content-length"]
    assert ["Get", "Get"] == [call.method for call in echo.calls]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1, 499), (2, 500), (3, 400), (4, 504), (5, 404), (6, 409), (7, 403), (8, 429),
        (9, 400), (10, 409), (11, 400), (12, 501), (13, 500), (14, 503), (15, 500), (16, 401),
    ],
)  # fmt: skip
async def test_a_failed_call_has_its_canonical_status(http: Http, echo: Echo, code, status):
    """Each gRPC code is its HTTP status; details and trailers survive."""
    answer = await http("GET", f"/v1/failures/{code}?message=why+%C3%A9")
    assert status == answer.status
    assert (code, "why é") == (answer.json["code"], answer.json["message"])
    assert [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "WHY",
            "domain": "test",
            "metadata": {},
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
        {"@type": "type.googleapis.com/nobody.Knows", "value": "AQ=="},
    ] == answer.json["details"]
    assert "2" == answer.headers["retry-after"]
    assert "b" == answer.headers["grpc-trailer-x-trailer"]
    assert ("Bearer" if status == 401 else None) == answer.headers.get("www-authenticate")
    assert 1 == len(echo.calls)


async def test_problem_details_on_demand(http: Http):
    """A client that accepts application/problem+json gets RFC 9457."""
    accept = {"accept": "application/problem+json, application/json;q=0.5"}
    answer = await http("GET", "/v1/failures/5?message=gone", headers=accept)
    assert "application/problem+json" == answer.headers["content-type"]
    assert {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "gone",
        "code": "NOT_FOUND",
    }.items() <= answer.json.items()


async def test_a_refusal_names_the_field(http: Http, echo: Echo):
    """A request that breaks a rule is answered without a call, with the field's path."""
    answer = await http("POST", "/v1/everything", json={"children": [{}, {"number": "x"}]})
    assert 400 == answer.status
    assert {
        "code": 3,
        "message": "children[1].number: expected an integer",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [
                    {
                        "field": "children[1].number",
                        "description": "expected an integer",
                        "reason": "",
                    }
                ],
            }
        ],
    } == answer.json
    assert [] == echo.calls


async def test_metadata_in(http: Http, echo: Echo):
    """Only what is meant for services is handed on."""
    sent = {
        "authorization": "Bearer abc",
        "x-request-id": "r-1",
        "last-event-id": "7",
        "grpc-metadata-x-a": "1",
        "grpc-metadata-x-b-bin": base64.b64encode(b"\x00").decode(),
        "grpc-metadata-x-souk-service": "order",
        "grpc-metadata-authorization": "Bearer evil",
        "grpc-metadata-grpc-timeout": "1S",
        "x-souk-service": "order",
        "x-user-id": "somebody",
        "x-forwarded-client-cert": "spiffe://souk/order",
        "cookie": "a=b",
        "connection": "keep-alive, x-hop",
        "x-hop": "1",
    }
    answer = await http("GET", "/v1/texts/a", headers=sent)
    got = dict(echo.calls[0].metadata)
    got.pop("user-agent")
    got.pop("traceparent", None)
    assert {
        "authorization": "Bearer abc",
        "x-request-id": "r-1",
        "last-event-id": "7",
        "x-a": "1",
        "x-b-bin": b"\x00",
    } == got
    assert "r-1" == answer.headers["x-request-id"]


async def test_metadata_out(http: Http):
    """Initial metadata and trailers come back under names of their own."""
    answer = await http("GET", "/v1/resources/a")
    assert ("a", "AP8=", "b") == tuple(
        answer.headers[name]
        for name in (
            "grpc-metadata-x-header",
            "grpc-metadata-x-header-bin",
            "grpc-trailer-x-trailer",
        )
    )


async def test_every_answer_has_a_request_id(http: Http):
    """An id is made where the client gave none, or none that can be used."""
    for headers in ({}, {"x-request-id": "a b"}, {"x-request-id": "x" * 129}):
        answer = await http("GET", "/v1/nothing", headers=headers)
        assert 36 == len(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("given", "most"), [("9000m", 9), ("20S", 20), ("99999999H", 60), (None, 60)]
)
async def test_the_deadline_is_bounded(http: Http, echo: Echo, given, most):
    """`Grpc-Timeout` shortens the deadline and never lengthens it."""
    await http("GET", "/v1/texts/a", headers={"grpc-timeout": given} if given else {})
    left = echo.calls[0].seconds_left
    assert left is not None
    # grpc rounds what it sends up.
    assert most / 2 < left <= most + 0.2


@pytest.mark.parametrize("given", ["", "1", "S", "1s", "123456789S", "-1S", "1.5S"])
async def test_a_bad_deadline_is_refused(http: Http, echo: Echo, given):
    """`Grpc-Timeout` that is not of gRPC's form is a 400."""
    answer = await http("GET", "/v1/texts/a", headers={"grpc-timeout": given})
    assert 400 == answer.status
    assert [] == echo.calls


@pytest.mark.parametrize(
    ("target", "given"),
    # Two seconds later the answer of a stream has begun, whatever comes of it.
    [("/v1/texts/slow", "2S"), ("/v1/names:watch?endless=true", "1S")],
)
async def test_a_call_past_its_deadline_is_504(http: Http, echo: Echo, target, given):
    """A call that takes longer than it may is cancelled and answered with 504."""
    answer = await http("GET", target, headers={"grpc-timeout": given})
    assert (504, 4) == (answer.status, answer.json["code"])
    async with asyncio.timeout(30):
        await echo.cancelled.wait()


async def test_a_client_that_leaves_ends_the_call(
    gateway: Gateway, session: aiohttp.ClientSession, echo: Echo
):
    """The RPC of a request is cancelled when the client goes away."""
    leaving = asyncio.ensure_future(session.get(f"{gateway.url}/v1/texts/slow"))
    async with asyncio.timeout(30):
        while not echo.calls:
            await asyncio.sleep(0.01)
        leaving.cancel()
        await echo.cancelled.wait()


async def test_a_trace_goes_on(http: Http, echo: Echo):
    """The client's trace goes on in the call; without one, it begins at the gateway."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    for given in (f"00-{trace}-b7ad6b7169203331-00", None):
        await http("GET", "/v1/texts/a", headers={"traceparent": given} if given else {})
    going_on, begun = [str(dict(call.metadata)["traceparent"]) for call in echo.calls]
    assert trace == going_on[3:35]
    assert trace != begun[3:35]
    assert 55 == len(begun)


async def test_the_idempotency_key_is_the_request_id(http: Http, echo: Echo):
    """`Idempotency-Key` gives `request_id`; the body may repeat it and not contradict it."""
    key = {"idempotency-key": "k1"}
    for body, status in (({}, 200), ({"requestId": "k1"}, 200), ({"requestId": "k2"}, 400)):
        answer = await http("POST", "/v1/resources/a:delete", json=body, headers=key)
        assert status == answer.status
    assert (await http("DELETE", "/v1/resources/a?requestId=k1", headers=key)).status == 400
    assert ["k1", "k1"] == [call.request.request_id for call in echo.calls]


@pytest.mark.parametrize("name", ["bare", "quoted"])
async def test_tags_go_both_ways(http: Http, echo: Echo, name):
    """`etag` is the ETag, `If-None-Match` spares the body, `If-Match` comes back as it was."""
    first = await http("GET", f"/v1/resources/{name}")
    tag = first.headers["etag"]
    assert '"v1"' == tag
    for known, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200)):
        again = await http("GET", f"/v1/resources/{name}", headers={"if-none-match": known})
        assert status == again.status
        assert tag == again.headers["etag"]
    await http("DELETE", f"/v1/resources/{name}", headers={"if-match": tag})
    assert first.json["etag"] == echo.calls[-1].request.etag
    await http("PATCH", f"/v1/resources/{name}", json={"title": "x"}, headers={"if-match": tag})
    assert first.json["etag"] == echo.calls[-1].request.resource.etag
    await http("DELETE", f"/v1/resources/{name}", headers={"if-match": "*"})
    assert "" == echo.calls[-1].request.etag
    refused = await http("DELETE", f"/v1/resources/{name}", headers={"if-match": '"a", "b"'})
    assert 400 == refused.status


async def test_raw_bodies_pass_as_they_are(http: Http):
    """google.api.HttpBody is bytes and a content type, both ways."""
    answer = await http("POST", "/v1/raw/a", data=b"\x00\xff", headers={"content-type": "a/b"})
    assert (b"\x00\xff", "a/b") == (answer.body, answer.headers["content-type"])


async def test_pages_of_named_origins_may_call(http: Http):
    """CORS answers preflights of the origins in the settings, and of no others."""
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    preflight = await http(
        "OPTIONS", "/v1/everything", headers={"origin": "https://shop.example", **ask}
    )
    assert (204, "https://shop.example", "x-a") == (
        preflight.status,
        preflight.headers["access-control-allow-origin"],
        preflight.headers["access-control-allow-headers"],
    )
    call = await http("GET", "/v1/texts/a", headers={"origin": "https://shop.example"})
    assert "https://shop.example" == call.headers["access-control-allow-origin"]
    other = await http("GET", "/v1/texts/a", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
