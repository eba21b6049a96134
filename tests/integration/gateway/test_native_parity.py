"""Unary calls by either transport, over plaintext and mTLS, to the same real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Transport
from services.local import certs
from tests.integration.gateway.transports import KINDS, Calls, call, opened

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Issues certificates to a server and a client."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    certs.ensure(folder, ["order", "gateway"])
    return folder


@pytest.fixture(params=["plaintext", "mtls"])
def security(request: pytest.FixtureRequest, certificates: Path) -> dict[str, Any]:
    """Tells how the server and the client secure the connection."""
    if request.param == "plaintext":
        return {"server": {}, "client": {}}
    read = {each: (certificates / each).read_bytes() for each in ("ca.pem", "order.pem")}
    key = (certificates / "order-key.pem").read_bytes()
    credentials = grpc.ssl_server_credentials(
        [(key, read["order.pem"])], read["ca.pem"], require_client_auth=True
    )
    return {"server": {"credentials": credentials}, "client": {"certificates": certificates}}


@pytest.fixture
def calls() -> Calls:
    """Makes a server that has seen nothing."""
    return Calls()


@pytest.fixture(params=KINDS)
async def transport(
    request: pytest.FixtureRequest, calls: Calls, security: dict[str, Any]
) -> AsyncIterator[Transport]:
    """Opens either transport to the server."""
    async with (
        calls.served(**security["server"]) as port,
        opened(request.param, port, **security["client"]) as transport,
    ):
        yield transport


async def test_answer(transport: Transport) -> None:
    """The message, the headers and the trailers of an answer arrive, bytes as bytes."""
    reply = await transport.unary(call("Echo"), b"hello")
    assert b"hello" == reply.message
    assert {("x-header", "a"), ("x-header-bin", b"\x00\xff")} <= set(reply.headers)
    assert {("x-trailer", "b"), ("x-trailer-bin", b"\xfe")} <= set(reply.trailers)


@pytest.mark.parametrize("code", range(1, 17))
async def test_status(transport: Transport, code: int) -> None:
    """Every code arrives with its message, details and trailers."""
    message = "100 % naïve: ☕\n"
    with pytest.raises(StatusError) as caught:
        await transport.unary(call("Fail"), json.dumps({"code": code, "message": message}).encode())
    status = caught.value.status
    assert (code, message) == (status.code, status.message)
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
    assert [detail] == list(status.details)
    assert (("x-trailer", "b"),) == caught.value.trailers


async def test_metadata(transport: Transport, calls: Calls) -> None:
    """Metadata reaches the server, bytes as bytes, repeated keys in order."""
    sent = (
        ("authorization", "Bearer " + "t" * 600),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-empty", ""),
        ("x-bytes-bin", bytes(range(256))),
    )
    for _ in range(3):
        await transport.unary(call("Echo", metadata=sent), b"")
    for got in calls.metadata:
        assert sent == tuple(item for item in got if item[0] in dict(sent))


async def test_too_much_metadata(transport: Transport) -> None:
    """Metadata beyond what the server takes fails the call, and no other."""
    sent = (("x-long", "x" * 60_000),)
    with pytest.raises(StatusError) as caught:
        await transport.unary(call("Echo", metadata=sent), b"")
    assert grpc.StatusCode.RESOURCE_EXHAUSTED.value[0] == caught.value.status.code
    assert b"next" == (await transport.unary(call("Echo"), b"next")).message


async def test_unknown_method(transport: Transport) -> None:
    """A method that the server does not have is UNIMPLEMENTED."""
    with pytest.raises(StatusError) as caught:
        await transport.unary(call("Missing"), b"")
    assert grpc.StatusCode.UNIMPLEMENTED.value[0] == caught.value.status.code


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_384, 65_535, 70_000, 4 * 1024 * 1024])
async def test_sizes(transport: Transport, size: int) -> None:
    """Messages of any size up to the limit come and go, whatever frames and windows they take."""
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert message == (await transport.unary(call("Echo"), message)).message


async def test_many_big_messages(transport: Transport) -> None:
    """Big messages at once share the connection's window, and all arrive."""
    messages = [bytes([number]) * 1_000_000 for number in range(12)]
    replies = await asyncio.gather(*(transport.unary(call("Echo"), each) for each in messages))
    assert messages == [reply.message for reply in replies]


async def test_many_calls(transport: Transport) -> None:
    """Many calls at once each get their own answer."""
    replies = await asyncio.gather(
        *(transport.unary(call("Brief"), b"%d" % number) for number in range(400))
    )
    assert [b"%d" % number for number in range(400)] == [reply.message for reply in replies]


async def test_deadline(transport: Transport, calls: Calls) -> None:
    """A deadline reaches the server, ends the call in time, and cancels it there."""
    # Then there is a connection, and what the time passes with is the call.
    await transport.unary(call("Echo"), b"")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(StatusError) as caught:
        await transport.unary(call("Hang", timeout=1), b"")
    assert grpc.StatusCode.DEADLINE_EXCEEDED.value[0] == caught.value.status.code
    assert 0.95 < loop.time() - begin
    [_, left] = calls.seconds_left
    assert left is not None
    # grpc rounds what it sends up.
    assert left <= 1.2
    async with asyncio.timeout(30):
        await calls.cancelled.wait()


async def test_no_deadline(transport: Transport, calls: Calls) -> None:
    """A call without a deadline tells the server of none."""
    await transport.unary(call("Echo", timeout=None), b"")
    assert [None] == calls.seconds_left


async def test_cancellation(transport: Transport, calls: Calls) -> None:
    """Cancelling the task cancels the call on the server; the next call goes well."""
    task = transport.unary(call("Hang"), b"")
    async with asyncio.timeout(30):
        await calls.hanging.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await calls.cancelled.wait()
    assert b"next" == (await transport.unary(call("Echo"), b"next")).message


async def test_ready(transport: Transport) -> None:
    """A service without a health service is ready if its server answers."""
    assert await transport.is_ready("test.v1.Calls")
