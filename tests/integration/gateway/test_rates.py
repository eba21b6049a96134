"""Rate classes: how often an address and a user may call, whatever process and form they call by.

The numbers here are a tenth of the contracts': LOGIN 3 an address; READ 120 an address, 60 a user;
WRITE 24 an address, 12 a user, 120 a partner.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.local.stores import redis
from tests.conftest import Eventually
from tests.integration.gateway.conftest import Answer
from tests.integration.gateway.desk import SERVICE, answering, token
from tests.integration.gateway.envelopes import framed, split, trailers
from tests.integration.gateway.process import Gateway, running
from tests.unit.gateway.protos import compiled

SOURCE = """
syntax = "proto3";
package desk.v1;
import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
import "souk/mesh/v1/policy.proto";
service Desk {
  rpc Open(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/sign-in"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_PUBLIC deadline: {seconds: 30} rate: RATE_CLASS_LOGIN
    };
  }
  rpc Own(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/own"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_USER deadline: {seconds: 20} rate: RATE_CLASS_WRITE
    };
  }
  rpc Staff(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/look"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_PUBLIC deadline: {seconds: 20} rate: RATE_CLASS_READ
    };
  }
  rpc Watch(google.protobuf.Empty) returns (stream google.protobuf.Empty) {
    option (google.api.http) = {get: "/watch"};
    option (souk.mesh.v1.policy) = {access: ACCESS_PUBLIC rate: RATE_CLASS_READ};
  }
  rpc GetJwks(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (souk.mesh.v1.policy) = {
      access: ACCESS_PUBLIC deadline: {seconds: 20} rate: RATE_CLASS_READ
    };
  }
}
"""
PROXY = "10.9.0.1"


class Callers:
    """Calls two gateways of one Redis, from any address."""

    def __init__(self, session: aiohttp.ClientSession, gateways: list[Gateway]) -> None:
        self.session = session
        self.gateways = gateways

    async def call(
        self, address: str, method: str, path: str, *, at: int = 0, user: str = "", **options: Any
    ) -> Answer:
        """Calls the first gateway or the second."""
        headers = {"x-forwarded-for": f"{address}, {PROXY}", **options.pop("headers", {})}
        if user:
            headers["authorization"] = f"Bearer {token(subject=user)}"
        url = self.gateways[at].url + path
        async with self.session.request(method, url, headers=headers, **options) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(
                status=response.status,
                headers=response.headers,
                body=body,
                json=json.loads(body) if is_json else None,
            )

    async def taken(self, address: str, *args: Any, **options: Any) -> int:
        """Calls until it is refused; gives how many calls were not."""
        for count in range(1000):
            if (await self.call(address, *args, **options)).status == 429:
                return count
        raise AssertionError("there is no limit")

    async def statuses(self, count: int, address: str, *args: Any, **options: Any) -> list[int]:
        """Gives the statuses of calls made at once, in turns at both gateways."""
        calls = (
            self.call(address, *args, at=number % len(self.gateways), **options)
            for number in range(count)
        )
        return [each.status for each in await asyncio.gather(*calls)]


@asynccontextmanager
async def gateways(
    session: aiohttp.ClientSession, folder: Path, count: int, **environment: str
) -> AsyncIterator[Callers]:
    """Runs gateways that count by a tenth of the rates, behind a proxy that they trust."""
    path = folder / "desk.binpb"
    path.write_bytes(compiled(SOURCE).SerializeToString())
    given: dict[str, Any] = {
        "SOUK_JWKS_METHOD": f"/{SERVICE}/GetJwks",
        "SOUK_RATE_FACTOR": "0.1",
        "SOUK_TRUSTED_PROXIES": "127.0.0.0/8,10.9.0.0/16",
        **environment,
    }
    async with answering() as (address, _):
        arguments = ("--descriptors", str(path), "--upstream", f"*={address}")
        async with running(*arguments, **given) as first:
            if count == 1:
                yield Callers(session, [first])
                return
            async with running(*arguments, **given) as second:
                yield Callers(session, [first, second])


@pytest.fixture(scope="module")
async def callers(
    session: aiohttp.ClientSession, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callers]:
    """Runs two gateways that share what they count."""
    folder = tmp_path_factory.mktemp("rates")
    async with gateways(session, folder, 2, SOUK_REDIS_URL=redis_url) as running_callers:
        yield running_callers


async def test_a_login_is_counted_exactly(callers: Callers):
    """Of guesses at once at all processes, no more are let through than the class allows."""
    statuses = await callers.statuses(12, "192.0.2.1", "POST", "/sign-in")
    assert ([200] * 3, [429] * 9) == (sorted(statuses)[:3], sorted(statuses)[3:])
    assert [200] == await callers.statuses(1, "192.0.2.2", "POST", "/sign-in")


async def test_the_refusal_says_when_to_come_back(callers: Callers):
    """Reason, class and time stand in the details, and the time in the header fields, too."""
    await callers.statuses(3, "192.0.2.3", "POST", "/sign-in")
    refused = await callers.call("192.0.2.3", "POST", "/sign-in")
    info, retry = refused.json["details"]
    assert (429, 8) == (refused.status, refused.json["code"])
    assert {"rate": "LOGIN", "by": "address"} == info["metadata"]
    assert ("RATE_LIMITED", "gateway.souk") == (info["reason"], info["domain"])
    seconds = float(retry["retryDelay"].removesuffix("s"))
    assert 0 < seconds <= 20.1
    assert seconds <= int(refused.headers["retry-after"]) < seconds + 1
    assert '"login:address";q=3;w=60' == refused.headers["ratelimit-policy"]
    assert refused.headers["ratelimit"].startswith('"login:address";r=0;t=')


async def test_reads_of_an_address_are_counted_together(callers: Callers, eventually: Eventually):
    """What one process took, the other one knows within a moment."""
    address = "192.0.2.4"
    assert await callers.taken(address, "GET", "/look") >= 120

    async def is_refused() -> bool:
        return (await callers.call(address, "GET", "/look", at=1)).status == 429

    await eventually(is_refused)


async def test_a_user_is_counted_whatever_the_address(callers: Callers):
    """The bucket of a user is one for all addresses; others have their own."""
    addresses = (f"198.51.100.{number}" for number in range(200))
    taken = 0
    while (answer := await callers.call(next(addresses), "POST", "/own", user="ada")).status == 200:
        taken += 1
    assert 12 <= taken
    assert {"rate": "WRITE", "by": "user"} == answer.json["details"][0]["metadata"]
    other = await callers.call(next(addresses), "POST", "/own", user="bob")
    assert 200 == other.status


async def test_a_partner_is_counted_by_itself_whatever_its_address(callers: Callers):
    """It has the numbers of a partner, 120 writes here, where its address has 24 for all others."""
    address, partner = "192.0.2.6", {"x-souk-partner": "acme"}
    users = (f"user-{number}" for number in range(1000))

    async def taken(address: str, **headers: str) -> tuple[int, Answer]:
        count = 0
        while True:
            answer = await callers.call(
                address, "POST", "/own", user=next(users), headers=dict(headers)
            )
            if answer.status != 200:
                return count, answer
            count += 1

    count, refused = await taken(address, **partner)
    assert 120 <= count
    assert {"rate": "WRITE", "by": "partner"} == refused.json["details"][0]["metadata"]
    # Another address is the same partner, and the first one is as good as new to others.
    assert 429 == (await taken("192.0.2.7", **partner))[1].status
    assert 24 <= (await taken(address))[0] < 120


async def test_who_shows_no_good_token_is_counted(callers: Callers):
    """Guessing tokens is a call, too."""
    bad = {"authorization": "Bearer nonsense"}
    assert 24 <= await callers.taken("192.0.2.5", "POST", "/own", headers=bad)


async def test_every_form_of_a_call_is_counted(callers: Callers):
    """An address that has none left has none for Connect, gRPC-Web, streams and WebSockets."""
    address, look, watch = "192.0.2.10", f"/{SERVICE}/Staff", "/watch"

    async def refused(form: Callable[[], Awaitable[Any]], *, told: Any = 429) -> None:
        """Passes if a call is told so, perhaps not at first: each half second gives one back."""
        for _ in range(20):
            await callers.taken(address, "GET", "/look")
            if await form() == told:
                return
        raise AssertionError("it is not counted")

    async def connect() -> tuple[Any, ...]:
        headers = {"content-type": "application/proto"}
        answer = await callers.call(address, "POST", look, data=b"", headers=headers)
        return answer.status, answer.json["code"], "retry-after" in answer.headers

    async def grpc_web() -> str:
        headers = {"content-type": "application/grpc-web"}
        answer = await callers.call(address, "POST", look, data=framed(b""), headers=headers)
        return trailers(split(answer.body)[-1][1])["grpc-status"]

    async def stream() -> int:
        headers = {"accept": "text/event-stream"}
        return (await callers.call(address, "GET", watch, headers=headers)).status

    async def web_socket() -> int:
        with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
            await callers.session.ws_connect(
                callers.gateways[0].url + watch, headers={"x-forwarded-for": address}
            )
        return handshake.value.status

    await refused(connect, told=(429, "resource_exhausted", True))
    await refused(grpc_web, told="8")
    await refused(stream)
    await refused(web_socket)


async def test_without_redis_logins_stop_and_all_else_goes_on(
    session: aiohttp.ClientSession, tmp_path: Path
):
    """Who may have guessed too often may not guess; who looks or writes is counted here alone."""
    async with (
        redis.running(tmp_path / "redis") as url,
        gateways(session, tmp_path, 1, SOUK_REDIS_URL=url) as callers,
    ):
        assert [200] == await callers.statuses(1, "192.0.2.1", "POST", "/sign-in")
        await _pause(url)
        refused = await callers.call("192.0.2.1", "POST", "/sign-in")
        told = (refused.json["details"][0]["reason"], refused.headers["retry-after"])
        assert (503, "RATE_UNKNOWN", "2") == (refused.status, *told)
        assert 12 <= await callers.taken("192.0.2.1", "POST", "/own", user="ada") < 24
        lines = [each["event"] for each in callers.gateways[0].events]
        assert 1 == lines.count("rates are not shared")


async def _pause(url: str) -> None:
    """Has Redis answer nobody any more."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CLIENT PAUSE 60000 ALL\r\n")
    await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_without_a_redis_each_process_counts_alone(
    session: aiohttp.ClientSession, tmp_path: Path
):
    """The same rule holds in one process, for logins too."""
    async with gateways(session, tmp_path, 1) as callers:
        assert 3 == await callers.taken("192.0.2.1", "POST", "/sign-in")
