"""Calls of all four kinds by either transport, to the same real server: answers and ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Messages, ReplyStream, Transport
from gateway.transcoding.transport.grpc_aio import GrpcTransport
from gateway.transcoding.transport.native import NativeTransport
from tests import reserved_port
from tests.integration.gateway.streaming_server import (
    METHODS,
    SERVICE,
    Streams,
    call,
    each,
    requests,
)
from tests.integration.gateway.transports import KINDS, opened

pytestmark = pytest.mark.timeout(120)

STREAMING = METHODS[1:]

# grpc.aio cancels the call itself, and now and then has forgotten why.
_TOO_LARGE = {
    "native": {code_pb2.RESOURCE_EXHAUSTED},
    "grpc-aio": {code_pb2.RESOURCE_EXHAUSTED, code_pb2.CANCELLED},
}


@pytest.fixture
def server() -> Streams:
    """Makes a server that has seen nothing."""
    return Streams()


@pytest.fixture(params=KINDS)
async def transport(request: pytest.FixtureRequest, server: Streams) -> AsyncIterator[Transport]:
    """Opens either transport to the server; nothing of it may be left running at the end."""
    before = asyncio.all_tasks()
    async with server.served() as port, opened(request.param, port) as transport:
        yield transport
    left = {task for task in asyncio.all_tasks() - before if "/test.v1." in task.get_name()}
    if left:  # gRPC's own of calls that were cut off end a moment after their server
        _, left = await asyncio.wait(left, timeout=10)
    assert set() == left


def _expected(method: str) -> list[bytes]:
    """Gives what a call with the requests "1", "2" and "3" is answered."""
    return {
        "Unary": [b"1"],
        "ServerStream": [b"%d........." % number for number in range(3)],
        "ClientStream": [b"3"],
        "Bidi": [b"1", b"2", b"3"],
    }[method]


def _called(transport: Transport, method: str, timeout: float | None = 30) -> ReplyStream:
    return transport.stream(call(method, timeout=timeout), requests(method, b"1", b"2", b"3"))


async def _all(replies: ReplyStream) -> list[bytes]:
    return [message async for message in replies]


async def _failure(replies: ReplyStream) -> tuple[list[bytes], StatusError]:
    """Gives what came before a call failed, and how it failed."""
    came: list[bytes] = []
    with pytest.raises(StatusError) as caught:
        async for message in replies:
            came.append(message)  # noqa: PERF401  # what came before the failure counts
    return came, caught.value


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def _settled(read: Callable[[], int]) -> int:
    """Waits until a number has not grown for half a second."""
    value, polls = read(), 0
    async with asyncio.timeout(30):
        while polls < 25:
            await asyncio.sleep(0.02)
            polls = polls + 1 if read() == value else 0
            value = read()
    return value


@pytest.mark.parametrize("method", METHODS)
async def test_answers(transport: Transport, method: str) -> None:
    """Headers, every message and trailers of a call arrive."""
    replies = _called(transport, method)
    headers = await replies.headers()
    assert {("x-header", "a"), ("x-header-bin", b"\x00\xff")} <= set(headers)
    assert _expected(method) == await _all(replies)
    assert {("x-trailer", "b"), ("x-trailer-bin", b"\xfe")} <= set(replies.trailers)


@pytest.mark.parametrize("method", METHODS)
async def test_failure_before_the_first_message(
    transport: Transport, server: Streams, method: str
) -> None:
    """A call that fails at once has its code, message, details and trailers, and no answer."""
    server.code = code_pb2.FAILED_PRECONDITION
    came, error = await _failure(_called(transport, method))
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
    assert ([], code_pb2.FAILED_PRECONDITION, "told to") == (
        came,
        error.status.code,
        error.status.message,
    )
    assert [detail] == list(error.status.details)
    assert (("x-trailer", "b"),) == error.trailers


@pytest.mark.parametrize("method", METHODS)
async def test_headers_of_a_failed_call(transport: Transport, server: Streams, method: str) -> None:
    """Waiting for the headers of a call that fails before them tells of the failure."""
    server.code = code_pb2.NOT_FOUND
    replies = _called(transport, method)
    came, error = await _failure(replies)
    assert ([], code_pb2.NOT_FOUND) == (came, error.status.code)


@pytest.mark.parametrize(
    ("method", "count"), [("ServerStream", 1), ("ClientStream", 0), ("Bidi", 1)]
)
async def test_failure_after_the_first_message(
    transport: Transport, server: Streams, method: str, count: int
) -> None:
    """What came before a failure arrives, then the failure."""
    server.code, server.fails_after = code_pb2.ABORTED, 1
    came, error = await _failure(_called(transport, method))
    assert (_expected(method)[:count], code_pb2.ABORTED) == (came, error.status.code)


@pytest.mark.parametrize("method", STREAMING)
async def test_nothing(transport: Transport, server: Streams, method: str) -> None:
    """Streams without a message are streams, either way."""
    server.answers = 0
    replies = transport.stream(call(method), each() if method != "ServerStream" else b"")
    assert ([b"0"] if method == "ClientStream" else []) == await _all(replies)


@pytest.mark.parametrize("method", METHODS)
async def test_leaving(transport: Transport, server: Streams, method: str) -> None:
    """Closing the answers of a call that goes on cancels it on the server."""
    server.hangs = True
    replies = _called(transport, method)
    async with asyncio.timeout(30):
        await server.hanging.wait()
        await replies.aclose()
        await server.cancelled.wait()
    server.hangs = False
    assert b"next" == (await transport.unary(call("Unary"), b"next")).message


@pytest.mark.parametrize("method", METHODS)
async def test_reader_cancelled(transport: Transport, server: Streams, method: str) -> None:
    """Cancelling the task that reads cancels the call on the server."""
    server.hangs = True
    reading = asyncio.create_task(_all(_called(transport, method)))
    async with asyncio.timeout(30):
        await server.hanging.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.cancelled.wait()


@pytest.mark.parametrize("method", METHODS)
async def test_deadline(transport: Transport, server: Streams, method: str) -> None:
    """A deadline ends the call in time, and cancels it on the server."""
    # Then there is a connection, and what the time passes with is the call.
    await transport.unary(call("Unary"), b"")
    server.hangs = True
    loop = asyncio.get_running_loop()
    begin = loop.time()
    _, error = await _failure(_called(transport, method, timeout=1))
    assert code_pb2.DEADLINE_EXCEEDED == error.status.code
    assert 0.95 < loop.time() - begin
    async with asyncio.timeout(30):
        await server.cancelled.wait()


@pytest.mark.parametrize("method", ["ClientStream", "Bidi"])
@pytest.mark.parametrize("error", [StatusError, ValueError])
async def test_requests_that_fail(
    transport: Transport, server: Streams, method: str, error: type[Exception]
) -> None:
    """An exception of the requests ends the call on the server, and is what the reader gets."""
    raised = (
        StatusError(Status(code=code_pb2.ABORTED, message="mine"))
        if error is StatusError
        else ValueError("no number")
    )

    async def failing() -> Messages:
        yield b"1"
        await _until(lambda: server.received == [b"1"])
        raise raised

    with pytest.raises(error) as caught:
        await _all(transport.stream(call(method), failing()))
    assert raised is caught.value
    # To grpc's server requests that are cut off look as if they had ended.
    await _until(lambda: server.ended == 1)


@pytest.mark.parametrize("method", ["ClientStream", "Bidi"])
async def test_early_answer(transport: Transport, method: str) -> None:
    """A server that answers before all requests came has answered; nobody waits for the rest."""

    async def endless() -> Messages:
        yield b"1"
        yield b"stop"
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        answers = await _all(transport.stream(call(method), endless()))
    assert ([b"2"] if method == "ClientStream" else [b"1", b"stop"]) == answers


async def test_each_request_is_answered_before_the_next(transport: Transport) -> None:
    """Messages go both ways at once."""
    answered = asyncio.Event()
    got: list[bytes] = []

    async def one_by_one() -> Messages:
        for number in range(20):
            yield b"%d" % number
            await answered.wait()
            answered.clear()

    async with asyncio.timeout(30):
        async for message in transport.stream(call("Bidi"), one_by_one()):
            got.append(message)
            answered.set()
    assert [b"%d" % number for number in range(20)] == got


async def test_slow_reader(transport: Transport, server: Streams) -> None:
    """A server is held back by a reader that takes nothing, and goes on when it does."""
    server.answers, server.size = 1_000, 10_000
    replies = transport.stream(call("ServerStream"), b"")
    messages = aiter(replies)
    first = await anext(messages)
    stalled_at = await _settled(lambda: server.sent)
    # A window of 64 KiB with us, as much on the way and with the server; grpc's window grows.
    limit = 500_000 if isinstance(transport, NativeTransport) else 9_000_000
    assert stalled_at * server.size < limit
    assert 1_000 == len([first, *[message async for message in messages]])


async def test_slow_readers_hold_up_nobody_else(transport: Transport, server: Streams) -> None:
    """Any number of readers that take nothing leave the connection to other calls."""
    server.answers, server.size = 100, 60_000
    slow = [transport.stream(call("ServerStream"), b"") for _ in range(100)]
    await asyncio.gather(*(replies.headers() for replies in slow))
    await _settled(lambda: server.sent)
    assert b"quick" == (await transport.unary(call("Unary"), b"quick")).message
    await asyncio.gather(*(replies.aclose() for replies in slow))


async def test_slow_server(transport: Transport, server: Streams) -> None:
    """Requests are taken no faster than the server reads them."""
    server.reads = 1
    taken = 0

    async def plenty() -> Messages:
        nonlocal taken
        for _ in range(300):
            taken += 1
            yield bytes(100_000)

    slow = call("ClientStream", timeout=None)
    reading = asyncio.create_task(_all(transport.stream(slow, plenty())))
    stalled_at = await _settled(lambda: taken)
    assert stalled_at < 200
    server.resumed.set()
    async with asyncio.timeout(60):
        assert [b"300"] == await reading


@pytest.mark.parametrize("size", [0, 1, 16_379, 65_530, 65_531, 200_000, 4 * 1024 * 1024])
async def test_sizes(transport: Transport, size: int) -> None:
    """Messages of any size up to the limit come and go, whatever frames and windows they take."""
    sent = [bytes([number]) * size for number in range(3)]
    assert sent == await _all(transport.stream(call("Bidi"), each(*sent)))


async def test_too_large(transport: Transport, server: Streams) -> None:
    """A message above the limit ends the call; what came before it has arrived."""
    limit = 4 * 1024 * 1024
    came, error = await _failure(transport.stream(call("Bidi"), each(b"1", bytes(limit + 1))))
    kind = "native" if isinstance(transport, NativeTransport) else "grpc-aio"
    assert [b"1"] == came
    assert error.status.code in _TOO_LARGE[kind]
    await _until(lambda: server.ended == 1)


@pytest.mark.parametrize("method", METHODS)
async def test_too_much_metadata(transport: Transport, server: Streams, method: str) -> None:
    """Metadata beyond what the server takes fails the call before it reaches the server."""
    big = call(method, metadata=(("x-long", "x" * 60_000),))
    _, error = await _failure(transport.stream(big, requests(method, b"1")))
    assert code_pb2.RESOURCE_EXHAUSTED == error.status.code
    # What takes requests one by one, grpc lets begin all the same.
    is_begun = isinstance(transport, GrpcTransport) and method in ("ClientStream", "Bidi")
    assert is_begun or server.seen[method] == 0


async def test_a_thousand_streams(transport: Transport, server: Streams) -> None:
    """A thousand streams at once each get their own messages."""
    server.answers = 0

    async def chat(number: int) -> list[bytes]:
        together = asyncio.Event()

        async def twice() -> Messages:
            yield b"%d" % number
            await together.wait()
            yield b"%d again" % number

        got = []
        async for message in transport.stream(call("Bidi", timeout=100), twice()):
            got.append(message)
            arrived.append(number)
            await all_there.wait()
            together.set()
        return got

    arrived: list[int] = []
    all_there = asyncio.Event()
    chats = [asyncio.create_task(chat(number)) for number in range(1_000)]
    async with asyncio.timeout(100):
        while len(arrived) < 1_000:
            await asyncio.sleep(0.02)
        all_there.set()
        answers = await asyncio.gather(*chats)
    assert [[b"%d" % number, b"%d again" % number] for number in range(1_000)] == answers


@pytest.mark.parametrize("kind", KINDS)
async def test_connections_that_end(kind: str) -> None:
    """Streams outlive the server's wish to end their connection; new ones take a new one."""
    server = Streams(answers=20, pause_seconds=0.03)
    options = (("grpc.max_connection_age_ms", 150), ("grpc.max_connection_age_grace_ms", 20_000))
    async with server.served(*options) as port, opened(kind, port) as transport:
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.5

        async def watch() -> None:
            while loop.time() < end:
                assert 20 == len(await _all(transport.stream(call("ServerStream"), b"")))

        await asyncio.gather(*(watch() for _ in range(4)))


def _retrying() -> dict[str, object]:
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": policy}]}


# One time in sixty grpc.aio loses a request of a stream that it makes again.
_RETRIED = [
    *(("native", method) for method in METHODS),
    *(("grpc-aio", method) for method in METHODS[:2]),
]


@pytest.mark.parametrize(("kind", "method"), _RETRIED)
async def test_retry(kind: str, method: str) -> None:
    """A call that fails before its answer begins is made again, with all its requests."""
    server = Streams(code=code_pb2.UNAVAILABLE, failures=2)
    async with server.served() as port, opened(kind, port, config=_retrying()) as transport:
        assert _expected(method) == await _all(_called(transport, method))
    assert 3 == server.seen[method]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", STREAMING)
async def test_no_retry_after_headers(kind: str, method: str) -> None:
    """A call whose answer had begun is not made again."""
    server = Streams(code=code_pb2.UNAVAILABLE, fails_after=1)
    async with server.served() as port, opened(kind, port, config=_retrying()) as transport:
        _, error = await _failure(_called(transport, method))
        assert code_pb2.UNAVAILABLE == error.status.code
    assert 1 == server.seen[method]


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_listens(kind: str) -> None:
    """A stream to a service that is not there is UNAVAILABLE, long before the deadline."""
    with reserved_port.held() as port:
        async with opened(kind, port) as transport, asyncio.timeout(30):
            _, error = await _failure(_called(transport, "Bidi"))
    assert code_pb2.UNAVAILABLE == error.status.code


@pytest.mark.parametrize("kind", KINDS)
async def test_waiting_for_a_service(kind: str) -> None:
    """Calls whose service config says so wait for a service that is not there yet."""
    config = {"methodConfig": [{"name": [{"service": SERVICE}], "waitForReady": True}]}
    server = Streams()
    with reserved_port.held() as port:
        async with opened(kind, port, config=config) as transport:
            waiting = asyncio.create_task(_all(_called(transport, "Bidi")))
            unary = asyncio.ensure_future(transport.unary(call("Unary"), b"1"))
            await asyncio.sleep(0.5)
            assert (False, False) == (waiting.done(), unary.done())
            async with server.served(port=port), asyncio.timeout(30):
                assert _expected("Bidi") == await waiting
                assert b"1" == (await unary).message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("field", ["maxRequestMessageBytes", "maxResponseMessageBytes"])
async def test_limits_of_a_service_config(kind: str, method: str, field: str) -> None:
    """A service config bounds messages of either direction, by method."""
    name = {"service": SERVICE, "method": method}
    config = {"methodConfig": [{"name": [name], field: 5}]}
    server = Streams(size=6)
    async with server.served() as port, opened(kind, port, config=config) as transport:
        sent = (
            requests(method, b"1", b"sixsix") if method == "Bidi" else requests(method, b"sixsix")
        )
        try:
            await _all(transport.stream(call(method), sent))
        except StatusError as error:
            code = error.status.code
        else:
            code = code_pb2.OK
    # It answers how many came: one byte.
    is_short = (method, field) == ("ClientStream", "maxResponseMessageBytes")
    assert (code_pb2.OK if is_short else code_pb2.RESOURCE_EXHAUSTED) == code


@pytest.mark.parametrize("kind", KINDS)
async def test_limit_of_a_transport(kind: str) -> None:
    """A transport takes messages as large as it was told to, and no larger."""
    server = Streams()
    limit = 6 * 1024 * 1024
    async with (
        server.served() as port,
        opened(kind, port, max_message_bytes=limit) as transport,
    ):
        assert [bytes(limit)] == await _all(transport.stream(call("Bidi"), each(bytes(limit))))
        _, error = await _failure(transport.stream(call("Bidi"), each(bytes(limit + 1))))
        assert error.status.code in _TOO_LARGE[kind]
