"""What the gateway answers itself: health, the OpenAPI document, its reading room."""

import re

import pytest
from aiohttp import ClientSession
from openapi_spec_validator import validate

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway


async def test_a_ready_gateway_says_so(http: Http, echo: Echo):
    """`/healthz` tells of the process, `/readyz` of each upstream; neither is a call."""
    alive = await http("GET", "/healthz")
    assert (200, {"status": "alive"}) == (alive.status, alive.json)
    ready = await http("GET", "/readyz")
    expected = {"status": "ready", "upstreams": {"test.v1.Echo": "ready"}}
    assert (200, expected) == (ready.status, ready.json)
    assert "no-store" == ready.headers["cache-control"]
    assert [] == echo.calls


async def test_the_document_is_served(http: Http):
    """`/openapi.json` is a valid document of every binding that OpenAPI has a word for."""
    answer = await http("GET", "/openapi.json")
    validate(answer.json)
    assert {"get", "post", "delete"} == answer.json["paths"]["/v1/texts/{text}"].keys()
    assert "/v1/rooms/{text_2}/beds/{text_4}" in answer.json["paths"]


async def test_the_docs_need_nothing_from_elsewhere(http: Http):
    """`/docs` and all it names come from here, under a policy that forbids all else."""
    page = await http("GET", "/docs")
    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["content-type"])
    policy = ", ".join(page.headers.getall("content-security-policy"))
    assert "default-src 'none'" in policy
    assert "script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    named = re.findall(rb'(?:src|href)="([^"]+)"', page.body)
    assert 5 == len(named)
    for name in named:
        assert b":" not in name
        asset = await http("GET", f"/{name.decode()}")
        assert 200 == asset.status
        assert "nosniff" == asset.headers["x-content-type-options"]
    assert b"swagger" in (await http("GET", "/docs/swagger-ui-bundle.js")).body[:100_000].lower()


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/healthz", 200),
        ("HEAD", "/docs", 200),
        ("POST", "/healthz", 404),
        ("GET", "/docs/../app.py", 404),
        ("GET", "/docs/nothing.js", 404),
        ("GET", "/docs/", 404),
    ],
)
async def test_there_are_no_other_pages(http: Http, method, target, status):
    """Only the pages and their own assets are there, for reading only."""
    assert status == (await http(method, target)).status


async def test_metrics_tell_of_requests(gateway: Gateway, http: Http, session: ClientSession):
    """Requests are counted by method, RPC and status, and by no path."""
    await http("GET", "/v1/nothing/of-the-kind")
    await http("GET", "/v1/texts/some-text")
    await http("GET", "/v1/failures/8")
    async with session.get(gateway.metrics_url) as response:
        told = await response.text()
    assert 'http_server_requests_total{method="GET",rpc="",status="404"}' in told
    assert 'http_server_requests_total{method="GET",rpc="test.v1.Echo.Get",status="200"}' in told
    assert 'http_server_requests_total{method="GET",rpc="test.v1.Echo.Fail",status="429"}' in told
    assert "of-the-kind" not in told
    assert "some-text" not in told
