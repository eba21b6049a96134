"""What browsers are told with every answer, and whose pages and hosts are served."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.integration.gateway.conftest import Http
from tests.integration.gateway.desk import SERVICE, answering, token
from tests.integration.gateway.echo import Echo
from tests.integration.gateway.process import Gateway, output, running
from tests.integration.gateway.test_edge import spoken
from tests.integration.gateway.test_rates import SOURCE
from tests.unit.gateway.protos import compiled

PROTECTION = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
PAGE = {"origin": "https://shop.example"}
STRANGER = {"origin": "https://evil.example"}


@pytest.fixture(scope="module")
async def fortress(upstream: Echo, descriptor_file: Path) -> AsyncIterator[Gateway]:
    """Runs a gateway that serves one name, behind a proxy that speaks TLS."""
    arguments = ("--descriptors", str(descriptor_file), "--upstream", f"*={upstream.address}")
    given = {"SOUK_ALLOWED_HOSTS": "shop.example,[::1]", "SOUK_HSTS": "365d"}
    async with running(*arguments, "--access", "open", **given) as started:  # type: ignore[arg-type]  # all are variables
        yield started


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/texts/a", 200),
        ("GET", "/v1/failures/5", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/failures/5", 405),
        ("GET", "/healthz", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_every_answer_protects_browsers(http: Http, method: str, target: str, status: int):
    """Answers of all kinds say that they are no scripts, in no frame, and refer to nobody."""
    answer = await http(method, target)
    assert status == answer.status
    assert PROTECTION == {name: answer.headers[name] for name in PROTECTION}
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_refusals_protect_browsers(gateway: Gateway):
    """So does what is answered where there is no request."""
    answer = (await spoken(gateway, b"nonsense\r\n\r\n")).decode().lower()
    assert answer.startswith("http/1.1 400 ")
    assert all(f"{name}: {value}" in answer for name, value in PROTECTION.items())
    assert "\r\nserver:" not in answer


async def test_tls_is_asked_for_where_it_is_spoken(fortress: Gateway):
    """A gateway behind TLS tells browsers to come by nothing else."""
    answer = await spoken(
        fortress, b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    assert b"\r\nstrict-transport-security: max-age=31536000\r\n" in answer


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("shop.example", "/v1/texts/a", 200),
        ("SHOP.example:8080", "/v1/texts/a", 200),
        ("[::1]:8080", "/v1/texts/a", 200),
        ("[::1]", "/v1/texts/a", 200),
        ("evil.example", "/v1/texts/a", 421),
        ("shop.example.evil.example", "/v1/texts/a", 421),
        ("127.0.0.1", "/v1/texts/a", 421),
        ("", "/v1/texts/a", 421),
        # Probes know nothing but the address.
        ("127.0.0.1", "/healthz", 200),
    ],
)
async def test_other_hosts_are_not_served(fortress: Gateway, host: str, path: str, status: int):
    """A request for another name is misdirected, whatever leads that name here."""
    sent = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    answer = await spoken(fortress, sent.encode())
    assert f"HTTP/1.1 {status} " == answer[:13].decode()


async def test_a_cache_keeps_origins_apart(http: Http):
    """Every answer to a request that may come from a page differs by origin, and says so."""
    for headers in (PAGE, STRANGER, {}):
        answer = await http("GET", "/v1/texts/a", headers=headers)
        vary = ", ".join(answer.headers.getall("vary", [])).lower()
        assert re.search(r"\borigin\b", vary), headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "HTTPS://SHOP.EXAMPLE",
        "https://shop.example/",
        "null",
        "*",
    ],
)
async def test_no_other_origin_is_allowed(http: Http, origin: str):
    """Origins are compared as a whole; what is alike is another one. No credentials for anybody."""
    ask = {"origin": origin, "access-control-request-method": "POST"}
    for answer in (
        await http("GET", "/v1/texts/a", headers={"origin": origin}),
        await http("OPTIONS", "/v1/everything", headers=ask),
    ):
        assert [] == [name for name in answer.headers if name.lower().startswith("access-control")]
    allowed = await http("GET", "/v1/texts/a", headers=PAGE)
    assert "access-control-allow-credentials" not in allowed.headers


@pytest.mark.parametrize("origins", ["null", "shop.example", "https://*.example", "https://a/"])
async def test_what_is_no_origin_is_refused_at_start(descriptor_file: Path, origins: str):
    """A pattern, a path or a bare name would allow nobody, or everybody."""
    _, _, errors = await output(
        "serve", "--descriptors", str(descriptor_file), SOUK_CORS_ORIGINS=origins
    )
    assert f"SOUK_CORS_ORIGINS: {origins!r} is neither" in errors


async def test_what_is_not_everybodys_is_not_stored(session: aiohttp.ClientSession, tmp_path: Path):
    """Answers that depend on who asks say `no-store`, failures too; public ones leave it open."""
    path = tmp_path / "desk.binpb"
    path.write_bytes(compiled(SOURCE).SerializeToString())
    async with answering() as (address, _):
        arguments = ("--descriptors", str(path), "--upstream", f"*={address}")
        async with running(*arguments, SOUK_JWKS_METHOD=f"/{SERVICE}/GetJwks") as gateway:
            for method, target, given, stored in (
                ("GET", "/look", {}, None),
                ("POST", "/own", {}, "no-store"),
                ("POST", "/own", {"authorization": f"Bearer {token()}"}, "no-store"),
            ):
                url = URL(gateway.url + target)
                async with session.request(method, url, headers=given) as answer:
                    assert stored == answer.headers.get("cache-control")
