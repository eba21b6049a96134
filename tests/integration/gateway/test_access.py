"""`--access policy`: who is let through to which method, and what of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.integration.gateway.desk import SERVICE, answering, token
from tests.integration.gateway.envelopes import framed, split, trailers
from tests.integration.gateway.process import Gateway, output, running
from tests.unit.gateway.protos import compiled

SOURCE = """
syntax = "proto3";
package desk.v1;
import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
import "souk/mesh/v1/policy.proto";
service Desk {
  rpc Open(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/open"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_PUBLIC deadline: {seconds: 30} rate: RATE_CLASS_READ
    };
  }
  rpc Own(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/own"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_USER deadline: {seconds: 20} rate: RATE_CLASS_READ
    };
  }
  rpc Staff(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/staff"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_ROLE roles: "admin" deadline: {seconds: 20} rate: RATE_CLASS_READ
    };
  }
  rpc GetJwks(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (souk.mesh.v1.policy) = {
      access: ACCESS_PUBLIC deadline: {seconds: 20} rate: RATE_CLASS_READ
    };
  }
  INTERNAL
}
"""
INTERNAL = """
  rpc Back(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/back"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_INTERNAL callers: "order" deadline: {seconds: 20}
    };
  }
"""
SERVED = """
  rpc Hidden(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (souk.mesh.v1.policy) = {
      access: ACCESS_INTERNAL callers: "order" deadline: {seconds: 20}
    };
  }
  rpc Watch(google.protobuf.Empty) returns (stream google.protobuf.Empty) {
    option (google.api.http) = {get: "/watch"};
    option (souk.mesh.v1.policy) = {access: ACCESS_USER rate: RATE_CLASS_READ};
  }
"""


@pytest.fixture(scope="module")
async def desk() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Runs the service."""
    async with answering() as running_desk:
        yield running_desk


@asynccontextmanager
async def serving(address: str, folder: Any) -> AsyncIterator[Gateway]:
    """Runs a gateway that enforces the policies of the desk."""
    path = folder / "desk.binpb"
    path.write_bytes(compiled(SOURCE.replace("INTERNAL", SERVED)).SerializeToString())
    arguments = ("--descriptors", str(path), "--upstream", f"*={address}")
    async with running(*arguments, SOUK_JWKS_METHOD=f"/{SERVICE}/GetJwks") as gateway:
        yield gateway


@pytest.fixture(scope="module")
async def gateway(desk, tmp_path_factory) -> AsyncIterator[Gateway]:
    """Runs the gateway in front of the desk."""
    async with serving(desk[0], tmp_path_factory.mktemp("desk")) as started:
        yield started


FORGED = token(key=Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("path", "authorization", "status", "reason"),
    [
        ("/open", None, 200, None),
        ("/open", "Bearer nonsense", 200, None),
        ("/own", None, 401, "NOT_SIGNED_IN"),
        ("/own", "Bearer nonsense", 401, "TOKEN_INVALID"),
        ("/own", f"Bearer {FORGED}", 401, "TOKEN_INVALID"),
        ("/own", f"Bearer {token(lives_seconds=-300)}", 401, "TOKEN_EXPIRED"),
        ("/own", f"Basic {token()}", 401, "AUTHORIZATION_MALFORMED"),
        ("/own", f"Bearer {token()}", 200, None),
        ("/own", f"bearer {token(roles=('admin',))}", 200, None),
        ("/staff", None, 401, "NOT_SIGNED_IN"),
        ("/staff", f"Bearer {token(roles=('support',))}", 403, "ROLE_MISSING"),
        ("/staff", f"Bearer {token(roles=('admin',))}", 200, None),
    ],
)
async def test_the_policy_decides(gateway, desk, session, path, authorization, status, reason):
    """A call reaches the service if the policy allows its caller, with the token as it came."""
    calls = desk[1]
    calls.clear()
    headers = {"authorization": authorization} if authorization else {}
    async with session.get(gateway.url + path, headers=headers) as response:
        answer = await response.json()
    assert status == response.status
    if reason is None:
        assert [("gateway", authorization)] == [
            (call["x-souk-service"], call.get("authorization")) for call in calls
        ]
        assert calls[0]["left"] <= (30.2 if path == "/open" else 20.2)
    else:
        [info] = answer["details"]
        assert (reason, "gateway.souk") == (info["reason"], info["domain"])
        assert ("Bearer" if status == 401 else None) == response.headers.get("www-authenticate")
        assert [] == calls


RPC = {
    "connect": ({"content-type": "application/proto"}, b""),
    "grpc-web": ({"content-type": "application/grpc-web"}, framed(b"")),
}


@pytest.mark.parametrize("protocol", RPC)
@pytest.mark.parametrize(
    ("method", "authorization", "code"),
    [
        ("Open", None, 0),
        ("Open", "Bearer nonsense", 0),
        ("Own", None, 16),
        ("Own", f"Bearer {FORGED}", 16),
        ("Own", f"Bearer {token()}", 0),
        ("Staff", f"Bearer {token(roles=('support',))}", 7),
        ("Staff", f"Bearer {token(roles=('admin',))}", 0),
        ("Hidden", f"Bearer {token(roles=('admin',))}", 12),
    ],
)
async def test_the_policy_decides_on_calls_by_name(
    gateway, desk, session, protocol, method, authorization, code
):
    """Calls by name are admitted as those by bindings are; what is internal is not there."""
    calls = desk[1]
    calls.clear()
    claimed = {"x-souk-service": "order", "x-souk-subject": "root", "x-user-id": "root"}
    headers, data = RPC[protocol]
    given = {**headers, **claimed, **({"authorization": authorization} if authorization else {})}
    async with session.post(
        f"{gateway.url}/{SERVICE}/{method}", data=data, headers=given
    ) as response:
        body = await response.read()
    statuses = {0: 200, 7: 403, 12: 404, 16: 401}
    # gRPC-Web has but one status for what is there.
    is_there = code != 12
    assert (200 if protocol == "grpc-web" and is_there else statuses[code]) == response.status
    if protocol == "grpc-web" and is_there:
        assert str(code) == trailers(split(body)[-1][1])["grpc-status"]
    if code == 16 and protocol == "connect":
        assert "Bearer" == response.headers["www-authenticate"]
    assert [("gateway", authorization)] * (code == 0) == [
        (call["x-souk-service"], call.get("authorization")) for call in calls
    ]
    assert not [key for call in calls for key in call if key in ("x-souk-subject", "x-user-id")]


@pytest.mark.parametrize(
    ("protocols", "headers", "status"),
    [
        ((), {}, 401),
        (("souk.json",), {}, 401),
        (("souk.json", f"souk.bearer.{FORGED}"), {}, 401),
        (("souk.json", f"souk.bearer.{token()}"), {"authorization": f"Bearer {token()}"}, 401),
        (("souk.json", f"souk.bearer.{token()}"), {}, 101),
        ((), {"authorization": f"Bearer {token()}"}, 101),
    ],
)
async def test_the_policy_decides_on_web_sockets(
    gateway, desk, session, protocols, headers, status
):
    """Who opens a WebSocket shows a token as a header or a subprotocol; it is never logged."""
    calls = desk[1]
    calls.clear()
    opening = session.ws_connect(f"{gateway.url}/watch", protocols=protocols, headers=headers)
    if status == 101:
        async with asyncio.timeout(30), opening as socket:
            assert "{}" == await socket.receive_str()
        [call] = calls
        assert call["authorization"].startswith("Bearer ey")
        assert "sec-websocket-protocol" not in call
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opening
        assert status == refused.value.status
        assert [] == calls
    shown = [protocol.removeprefix("souk.bearer.") for protocol in protocols]
    logged = json.dumps(gateway.events)
    assert not [each for each in shown if len(each) > 100 and each in logged]


async def test_an_internal_method_has_no_binding(desk, tmp_path):
    """A binding of a method that is for services alone stops the start."""
    path = tmp_path / "desk.binpb"
    path.write_bytes(compiled(SOURCE.replace("INTERNAL", INTERNAL)).SerializeToString())
    code, _, errors = await output(
        "serve", "--descriptors", str(path), "--upstream", f"*={desk[0]}"
    )
    line = "  desk.v1.Desk.Back: is internal and has an HTTP binding"
    assert (2, [line]) == (code, errors.splitlines()[1:])


async def test_the_document_tells_of_access(gateway: Gateway, session: aiohttp.ClientSession):
    """Methods for people say so in the OpenAPI document."""
    async with session.get(f"{gateway.url}/openapi.json") as response:
        document = await response.json()
    secured = {path for path, each in document["paths"].items() if each["get"]["security"]}
    paths = {"/open", "/own", "/staff", "/watch"}
    assert (paths, paths - {"/open"}) == (document["paths"].keys(), secured)
