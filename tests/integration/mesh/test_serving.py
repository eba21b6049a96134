"""A served contract: who gets in, what is refused, and what is served beside it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from services.mesh import clients, server, status
from services.mesh.address import CannotListen
from services.mesh.app import App
from services.mesh.errors import NotFound, RemoteError
from services.mesh.policy import ContractError
from services.mesh.server import Listening
from services.mesh.settings import SettingsError
from tests import echo, echo_server
from tests.conftest import Eventually
from tests.echo import EchoRequest
from tests.echo_server import EchoServicer, bearer, calling, echoing

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everybody's certificates."""
    made = tmp_path_factory.mktemp("certs")
    echo_server.make_certificates(made)
    return made


@pytest.fixture(scope="module")
async def listening(folder: Path) -> AsyncIterator[Listening]:
    """Serve the echo contract."""
    async with echoing(folder) as at:
        yield at


async def refusal(call: Any) -> RemoteError:
    """Return how a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return status.error_from_call(caught.value)


async def health(address: str, service: str = "") -> int:
    """Return the health that the plaintext listener tells."""
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(request, timeout=60)
        return int(answer.status)


async def test_the_caller_is_known(folder: Path, listening: Listening) -> None:
    """A handler knows the service by its certificate and the person by their token."""
    async with calling(folder, listening) as stub:
        answer = await stub.SignedIn(
            EchoRequest(text="hi"), metadata=bearer("ann", ["support", "admin"])
        )
    assert ("hi", "gateway", "ann", ["admin", "support"]) == (
        answer.text,
        answer.service,
        answer.subject,
        list(answer.roles),
    )


@pytest.mark.parametrize(
    ("name", "rpc", "metadata", "expected"),
    [
        ("gateway", "SignedIn", (), "NOT_SIGNED_IN"),
        ("gateway", "SignedIn", (("authorization", "Bearer x.y.z"),), "TOKEN_INVALID"),
        ("gateway", "SignedIn", bearer(exp=1, nbf=0), "TOKEN_EXPIRED"),
        ("gateway", "SignedIn", (*bearer("ann"), *bearer("eve")), "AUTHORIZATION_MALFORMED"),
        ("gateway", "Public", (*bearer("ann"), *bearer("eve")), "AUTHORIZATION_MALFORMED"),
        ("gateway", "SignedIn", (("authorization", "Basic eDp5"),), "AUTHORIZATION_MALFORMED"),
        ("gateway", "SignedIn", (("authorization", "Bearer"),), "AUTHORIZATION_MALFORMED"),
        ("gateway", "Admin", bearer("ann", ["support"]), "ROLE_MISSING"),
        ("gateway", "Internal", bearer("ann", ["admin"]), "CALLER_NOT_ALLOWED"),
        ("gateway", "Internal", (("x-souk-service", "order"),), "CALLER_NOT_ALLOWED"),
        ("product", "SignedIn", bearer("ann"), "CALLER_NOT_ALLOWED"),
        ("product", "Public", (), "CALLER_NOT_ALLOWED"),
    ],
)
async def test_who_may_not_is_refused(
    folder: Path,
    listening: Listening,
    name: str,
    rpc: str,
    metadata: Sequence[tuple[str, str]],
    expected: str,
) -> None:
    """A caller that the policy does not admit is told why, and the handler does not run."""
    async with calling(folder, listening, name) as stub:
        error = await refusal(getattr(stub, rpc)(EchoRequest(), metadata=metadata))
    assert expected == error.reason


async def test_an_invalid_token_does_not_close_what_is_public(
    folder: Path, listening: Listening
) -> None:
    """With an expired token one is nobody where everybody may come, for example to renew it."""
    async with calling(folder, listening) as stub:
        answer = await stub.Public(EchoRequest(), metadata=bearer(exp=1, nbf=0))
    assert answer.subject == ""


async def test_a_stream_ends_with_the_token(folder: Path, listening: Listening) -> None:
    """Who may watch may do so as long as the token is good, and is then told to renew it."""
    async with calling(folder, listening) as stub:
        await stub.Public(EchoRequest())
        # Five seconds are granted, for clocks that differ.
        metadata = bearer("ann", exp=int(time.time()) - 1, nbf=0)
        call = stub.WatchSignedIn(EchoRequest(text="stay"), metadata=metadata, timeout=60)
        seen = [(await call.read()).subject for _ in range(2)]
        error = await refusal(call.read())
    assert (["ann", "ann"], "UNAUTHENTICATED", "TOKEN_EXPIRED") == (seen, error.code, error.reason)


async def test_a_service_watches_without_a_token(folder: Path, listening: Listening) -> None:
    """A stream to a service that acts on its own behalf has no token to end with."""
    async with calling(folder, listening, "order") as stub:
        seen = [each.service async for each in stub.WatchSignedIn(EchoRequest(text="w"))]
    assert ["order", "order"] == seen


@pytest.mark.parametrize(
    ("metadata", "other"),
    [
        (bearer("ann"), bearer("bob")),
        ((("x-souk-client-address", "192.0.2.1"),), (("x-souk-client-address", "192.0.2.2"),)),
    ],
    ids=["person", "address"],
)
async def test_a_caller_has_so_many_streams(
    folder: Path, metadata: Any, other: Any, eventually: Eventually
) -> None:
    """Who holds all they may have gets no further one, and others do; one that ended is free."""
    stay = EchoRequest(text="stay")
    async with (
        echoing(folder, max_streams_per_caller=2) as at,
        calling(folder, at) as stub,
    ):
        held = [stub.Watch(stay, metadata=metadata, timeout=60) for _ in range(2)]
        for call in held:
            await call.read()
        refused = await refusal(stub.Watch(stay, metadata=metadata, timeout=60).read())
        others = stub.Watch(stay, metadata=other, timeout=60)
        await others.read()
        for call in (*held, others):
            call.cancel()

        async def is_free() -> bool:
            call = stub.Watch(stay, metadata=metadata, timeout=60)
            try:
                await call.read()
            except grpc.aio.AioRpcError:
                return False
            call.cancel()
            return True

        await eventually(is_free)
    assert ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS") == (refused.code, refused.reason)


async def test_an_internal_rpc_knows_no_person(folder: Path, listening: Listening) -> None:
    """A service that calls an internal RPC calls it for itself, whatever token it brings."""
    async with calling(folder, listening, "order") as stub:
        answer = await stub.Internal(EchoRequest(), metadata=bearer("ann"))
    assert ("order", "") == (answer.service, answer.subject)


async def test_without_a_certificate_nobody_gets_in(folder: Path, listening: Listening) -> None:
    """A client that shows no certificate cannot even connect."""
    credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
    async with grpc.aio.secure_channel(listening.address, credentials) as channel:
        error = await refusal(echo.EchoStub(channel).Public(EchoRequest(), timeout=60))
    assert error.code == "UNAVAILABLE"


async def test_a_certificate_of_another_authority_is_refused(
    folder: Path, listening: Listening, tmp_path: Path
) -> None:
    """Who was certified by somebody else cannot connect, whatever the name."""
    echo_server.make_certificates(tmp_path)
    certificate, key = tmp_path / "gateway.pem", tmp_path / "gateway-key.pem"
    async with calling(folder, listening, tls_cert=certificate, tls_key=key) as stub:
        error = await refusal(stub.Public(EchoRequest(), timeout=60))
    assert error.code == "UNAVAILABLE"


async def test_a_server_with_another_name_is_not_called(folder: Path, listening: Listening) -> None:
    """A client calls nobody who cannot prove to be the service that was asked for."""
    targets = {"order": listening.address}
    settings = echo_server.settings(folder, "gateway", targets=targets)
    async with clients.open_mesh("gateway", settings) as mesh:
        stub = echo.EchoStub(mesh.channel("order"))
        error = await refusal(stub.Public(EchoRequest(), timeout=60))
    assert error.code == "UNAVAILABLE"


async def test_anothers_data_does_not_exist(folder: Path, listening: Listening) -> None:
    """A person reaches what is their own, and finds nothing where it is another's."""
    async with calling(folder, listening) as stub:
        own = await stub.Own(EchoRequest(owner={"user_id": "ann"}), metadata=bearer("ann"))
        request = EchoRequest(owner={"user_id": "bob"})
        error = await refusal(stub.Own(request, metadata=bearer("ann")))
    assert ("ann", "NOT_FOUND") == (own.subject, error.code)


async def test_all_violations_are_told(folder: Path, listening: Listening) -> None:
    """A request that breaks several rules is told all of them, by field."""
    async with calling(folder, listening) as stub:
        request = EchoRequest(text="x" * 101, items=[{"quantity": 1}, {"quantity": 0}])
        error = await refusal(stub.Public(request))
    assert ("INVALID_ARGUMENT", ["text", "items[1].quantity"]) == (
        error.code,
        [each.field for each in error.violations],
    )


async def test_what_is_no_message_is_refused(folder: Path, listening: Listening) -> None:
    """Bytes that are no request are the caller's fault, not the server's."""
    async with calling(folder, listening) as _:
        pass
    async with echo_server.mesh_of(folder, "gateway", listening) as mesh:
        call = mesh.channel("echo").unary_unary("/souk.echo.v1.EchoService/Public")
        error = await refusal(call(b"\xff\xff\xff"))
    assert ("INVALID_ARGUMENT", "MALFORMED_MESSAGE") == (error.code, error.reason)


async def send(*requests: Any) -> AsyncIterator[Any]:
    """Stream the requests."""
    for request in requests:
        yield request


async def test_streams_of_all_shapes_are_served(folder: Path, listening: Listening) -> None:
    """Responses, requests or both may be streams."""
    async with calling(folder, listening) as stub:
        watched = [answer.text async for answer in stub.Watch(EchoRequest(text="w"))]
        uploaded = await stub.Upload(
            send(EchoRequest(text="a"), EchoRequest(text="b")), metadata=bearer("ann")
        )
        chat = stub.Chat(send(EchoRequest(text="c"), EchoRequest(text="d")))
        chatted = [answer.text async for answer in chat]
    assert (["w", "w"], "a,b", ["c", "d"]) == (watched, uploaded.text, chatted)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (EchoRequest(text="x" * 101), "INVALID_ARGUMENT"),
        (EchoRequest(owner={"user_id": "bob"}), "NOT_FOUND"),
    ],
)
async def test_each_message_of_a_stream_is_judged(
    folder: Path, listening: Listening, bad: Any, expected: str
) -> None:
    """A later message of a client's stream is held to the same rules as the first."""
    async with calling(folder, listening) as stub:
        requests = send(EchoRequest(text="fine", owner={"user_id": "ann"}), bad)
        error = await refusal(stub.Upload(requests, metadata=bearer("ann")))
    assert expected == error.code


async def test_a_stream_tells_its_error_after_its_messages(folder: Path) -> None:
    """What a streaming handler raises ends the stream with its status."""
    calls = []

    async def behave(request: Any, _context: Any) -> None:
        calls.append(request)
        if len(calls) > 1:
            raise NotFound("no more", order_id="7")

    received = []
    async with echoing(folder, behave) as at, calling(folder, at) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for answer in stub.Watch(EchoRequest(text="w")):
                received.append(answer.text)  # noqa: PERF401  # what comes before the error counts
    error = status.error_from_call(caught.value)
    assert (["w"], "NOT_FOUND", {"order_id": "7"}) == (received, error.code, error.metadata)


async def test_too_large_a_message_is_refused(folder: Path, listening: Listening) -> None:
    """A request of more than 256 KiB is not read."""
    async with calling(folder, listening) as stub:
        error = await refusal(stub.Public(EchoRequest(text="x" * 256 * 1024), timeout=60))
    assert error.code == "RESOURCE_EXHAUSTED"


async def test_too_much_metadata_is_refused(folder: Path, listening: Listening) -> None:
    """More than 8 KiB of metadata are not read."""
    async with calling(folder, listening) as stub:
        error = await refusal(
            stub.Public(EchoRequest(), timeout=5, metadata=(("x-long", "x" * 9000),))
        )
    # gRPC's server resets the stream; its reason does not always reach the client.
    assert error.code in {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


async def test_health_is_told_in_plaintext_and_by_service(listening: Listening) -> None:
    """Probes read the health without TLS: of the whole, of each service, and of being alive."""
    names = ("", "souk.echo.v1.EchoService", "liveness")
    told = [await health(listening.probe_address, name) for name in names]
    assert [SERVING] * 3 == told


async def test_nothing_but_health_is_served_in_plaintext(listening: Listening) -> None:
    """The probe listener serves no RPC of the contract."""
    async with grpc.aio.insecure_channel(listening.probe_address) as channel:
        error = await refusal(echo.EchoStub(channel).Public(EchoRequest(), timeout=60))
    assert error.code == "UNIMPLEMENTED"


async def test_health_is_what_the_checks_say(folder: Path) -> None:
    """While something that the service needs is down, it is alive but not ready."""

    async def fail() -> None:
        raise ConnectionError("down")

    async with echoing(folder, app={"checks": {"database": fail}}) as at:
        told = [await health(at.probe_address, name) for name in ("", "liveness")]
    assert [NOT_SERVING, SERVING] == told


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(
    folder: Path, listening: Listening, version: str
) -> None:
    """Who is let in can ask what is served."""
    async with echo_server.mesh_of(folder, "developer", listening) as mesh:
        call = mesh.channel("echo").stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(send(reflection_pb2.ServerReflectionRequest(list_services="")), timeout=60)
        answer = await call.read()
    names = [service.name for service in answer.list_services_response.service]
    assert "souk.echo.v1.EchoService" in names


async def test_plaintext_is_for_loopback_alone(folder: Path) -> None:
    """Without TLS a server refuses to listen where others could reach it."""
    with pytest.raises(SettingsError, match="must be loopback"):
        async with echoing(folder, tls="off", listen="0.0.0.0:0"):  # it is refused
            pass


async def test_in_plaintext_a_peer_says_who_it_is(folder: Path) -> None:
    """On loopback without TLS the caller's word is taken; who says nothing is the developer."""
    async with (
        echoing(folder, tls="off") as at,
        calling(folder, at, "order", tls="off") as order,
        grpc.aio.insecure_channel(at.address) as channel,
    ):
        answers = [
            await order.Internal(EchoRequest()),
            await echo.EchoStub(channel).Public(EchoRequest(), timeout=60),
        ]
    assert ["order", "developer"] == [answer.service for answer in answers]


async def test_a_taken_port_is_told(folder: Path, listening: Listening) -> None:
    """A second server on the same port does not start, instead of sharing the calls."""
    with pytest.raises(CannotListen, match=listening.address):
        async with echoing(folder, listen=listening.address):
            pass


async def test_an_incomplete_servicer_is_not_served(folder: Path) -> None:
    """Every RPC of the contract that the servicer lacks is told before anything is served."""

    class Incomplete(EchoServicer):
        Public = None  # type: ignore[assignment]  # that is the fault

        async def Watch(self, _request: Any, _context: Any) -> None:  # type: ignore[override]  # noqa: N802  # no stream
            await asyncio.sleep(0)

    settings = echo_server.settings(folder, "echo")
    app = App(servicers={echo.SERVICE: Incomplete()}, keys=echo_server.keys)
    async with clients.open_mesh("echo", settings) as mesh:
        with pytest.raises(ContractError) as caught:
            async with server.serving(app, mesh):
                pass
    assert [
        "Incomplete does not implement souk.echo.v1.EchoService.Public",
        "Incomplete does not implement souk.echo.v1.EchoService.Watch",
    ] == caught.value.faults


async def test_keys_are_asked_of_the_service_that_has_them(folder: Path) -> None:
    """A service without keys of its own asks the RPC of the settings for them."""
    # The echo service stands in for the one that issues tokens: its answer has no key in it.
    async with (
        echoing(folder) as issuer,
        echoing(
            folder,
            app={"keys": None},
            jwks_method="/souk.echo.v1.EchoService/Public",
            targets={"echo": issuer.address},
        ) as at,
        calling(folder, at) as stub,
    ):
        error = await refusal(stub.SignedIn(EchoRequest(), metadata=bearer("ann")))
    assert ("UNAVAILABLE", "KEYS_UNAVAILABLE") == (error.code, error.reason)


def test_apps_are_immutable() -> None:
    """What was built is not changed, only replaced."""
    app = App(servicers={})
    assert app == replace(app)
