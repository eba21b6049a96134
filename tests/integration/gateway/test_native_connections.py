"""Which connections the native transport makes: whom it trusts, and how it spreads its calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Transport
from gateway.transcoding.transport.native import NativeTransport, Target
from services.local import certs
from tests.integration.gateway.transports import KINDS, Calls, call, context_of, opened

pytestmark = pytest.mark.timeout(60)


async def _code(transport: Transport, seconds: float = 30, method: str = "Echo") -> int:
    try:
        await transport.unary(call(method, timeout=seconds), b"")
    except StatusError as error:
        return error.status.code
    return code_pb2.OK


@asynccontextmanager
async def _native(target: Target, addresses: list[str]) -> AsyncIterator[NativeTransport]:
    """Opens a transport to what a name leads to."""

    async def resolve(_: Target) -> list[str]:
        return list(addresses)

    transport = NativeTransport(target, {}, resolve=resolve)
    try:
        yield transport
    finally:
        await transport.close()


def _identities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("identities")
    certs.ensure(folder, ["order", "gateway"])
    return folder


def _server(folder: Path) -> grpc.ServerCredentials:
    key, certificate, ca = (
        (folder / name).read_bytes() for name in ("order-key.pem", "order.pem", "ca.pem")
    )
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Issues certificates by the authority that the server trusts."""
    return _identities(tmp_path_factory)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Issues certificates by another authority."""
    return _identities(tmp_path_factory)


@pytest.fixture(scope="module")
async def port(known: Path) -> AsyncIterator[int]:
    """Serves with mTLS."""
    async with Calls().served(credentials=_server(known)) as port:
        yield port


@pytest.mark.parametrize("kind", KINDS)
async def test_trusted(kind: str, port: int, known: Path) -> None:
    """A server and a client that trust each other's certificates talk."""
    async with opened(kind, port, certificates=known) as transport:
        assert code_pb2.OK == await _code(transport)


@pytest.mark.parametrize("kind", KINDS)
async def test_foreign_server(kind: str, port: int, foreign: Path) -> None:
    """A server whose certificate is another authority's is not called."""
    async with opened(kind, port, certificates=foreign) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_certificate(kind: str, port: int, known: Path) -> None:
    """A server that wants a certificate refuses a client without one."""
    async with opened(kind, port, certificates=known, holder=None) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport)


@pytest.mark.parametrize("kind", KINDS)
async def test_plaintext_to_tls(kind: str, port: int) -> None:
    """A TLS server called in plaintext is UNAVAILABLE."""
    async with opened(kind, port) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport)


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_to_plaintext(kind: str, known: Path) -> None:
    """A plaintext server called by TLS is UNAVAILABLE."""
    async with (
        Calls().served() as plain,
        opened(kind, plain, certificates=known) as transport,
    ):
        assert code_pb2.UNAVAILABLE == await _code(transport)


async def test_wrong_name(port: int, known: Path) -> None:
    """A trusted certificate of another name is not the server's."""
    target = Target(name="elsewhere.example", port=port, context=context_of(known, "gateway"))
    async with _native(target, ["127.0.0.1"]) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport)


async def test_name_among_many(port: int, known: Path) -> None:
    """The name that was asked for is checked, not the address it led to."""
    target = Target(name="order", port=port, context=context_of(known, "gateway"))
    async with _native(target, ["127.0.0.1"]) as transport:
        assert code_pb2.OK == await _code(transport)


async def test_round_robin() -> None:
    """Calls go to all addresses in turns; to those that are left when one is gone."""
    first, second = Calls(), Calls()
    async with AsyncExitStack() as rest, AsyncExitStack() as brief:
        shared = await brief.enter_async_context(first.served())
        await rest.enter_async_context(second.served(port=shared, host="127.0.0.2"))
        target = Target(name="both", port=shared, context=None)
        transport = await rest.enter_async_context(
            _native(target, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        )
        async with asyncio.timeout(30):
            while not first.seen["Echo"] or not second.seen["Echo"]:
                assert code_pb2.OK == await _code(transport)
        before = first.seen["Echo"], second.seen["Echo"]
        for _ in range(20):
            await _code(transport)
        assert (10, 10) == (first.seen["Echo"] - before[0], second.seen["Echo"] - before[1])
        await brief.aclose()
        before = first.seen["Echo"], second.seen["Echo"]
        async with asyncio.timeout(30):
            while await _code(transport) != code_pb2.OK:
                pass
        assert {code_pb2.OK} == {await _code(transport) for _ in range(10)}
        assert before[0] == first.seen["Echo"]


async def test_new_addresses() -> None:
    """When connections end, the name is asked again, and its new addresses are called."""
    old, new = Calls(), Calls()
    addresses = ["127.0.0.1"]
    async with new.served(host="127.0.0.2") as shared:
        target = Target(name="moving", port=shared, context=None)
        async with _native(target, addresses) as transport:
            async with old.served(port=shared):
                assert code_pb2.OK == await _code(transport)
                addresses[:] = ["127.0.0.2"]
            async with asyncio.timeout(30):
                while await _code(transport) != code_pb2.OK:
                    await asyncio.sleep(0.05)
    assert new.seen["Echo"] == 1


@pytest.mark.parametrize("wrong", [[], ["127.0.0.3"]], ids=["none", "dead"])
async def test_right_address_at_last(wrong: list[str]) -> None:
    """A name that leads nowhere is asked again, until it leads to a server."""
    addresses = list(wrong)
    async with Calls().served() as port:
        target = Target(name="late", port=port, context=None)
        async with _native(target, addresses) as transport:
            assert code_pb2.UNAVAILABLE == await _code(transport)
            addresses[:] = ["127.0.0.1"]
            async with asyncio.timeout(30):
                while await _code(transport) != code_pb2.OK:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", [LookupError("told to"), "127.0.0.1\0"], ids=["name", "address"])
async def test_what_nobody_foresaw_is_tried_again(fault: Exception | str) -> None:
    """A failure of another kind than a network's is told of, and is not the last try."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, about: told.append(about["message"]))
    answers: list[Exception | str] = [fault]

    async def resolve(_: Target) -> list[str]:
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    async with Calls().served() as port:
        transport = NativeTransport(
            Target(name="odd", port=port, context=None), {}, resolve=resolve
        )
        try:
            assert code_pb2.UNAVAILABLE == await _code(transport)
            answers[0] = "127.0.0.1"
            async with asyncio.timeout(30):
                while await _code(transport) != code_pb2.OK:
                    await asyncio.sleep(0.05)
        finally:
            await transport.close()
            loop.set_exception_handler(None)
    assert {message.endswith("failed, and is tried again") for message in told} == {True}


@pytest.mark.parametrize("name", ["nowhere.invalid", "x" * 70, "a..b"])
async def test_no_name(name: str) -> None:
    """What is no name, or nobody's, is UNAVAILABLE, by the system's own resolver."""
    transport = NativeTransport(Target(name=name, port=1, context=None), {})
    try:
        assert code_pb2.UNAVAILABLE == await _code(transport, seconds=30)
    finally:
        await transport.close()


async def test_no_address() -> None:
    """A name that leads nowhere is UNAVAILABLE, long before the deadline."""
    async with _native(Target(name="nowhere", port=1, context=None), []) as transport:
        assert code_pb2.UNAVAILABLE == await _code(transport, seconds=30)


async def test_renewal() -> None:
    """Calls under way end on the connections they began on; new ones go over new connections."""
    calls = Calls()
    async with calls.served() as port, opened("native", port) as transport:
        assert isinstance(transport, NativeTransport)
        under_way = asyncio.create_task(_code(transport, seconds=3, method="Hang"))
        async with asyncio.timeout(30):
            await calls.hanging.wait()
        there = Target(name="127.0.0.1", port=port, context=None)
        former = await transport.renew_when_ready(there, 5)
        closing = asyncio.create_task(former.close(10))
        assert code_pb2.OK == await _code(transport)
        assert code_pb2.DEADLINE_EXCEEDED == await under_way
        async with asyncio.timeout(30):
            await closing
