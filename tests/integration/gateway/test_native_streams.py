"""What the native transport's streams say on the wire, to a server that says what it is told."""

import asyncio
import struct
from collections.abc import Callable

import pytest
from google.rpc import code_pb2

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport import Messages, ReplyStream, Transport
from gateway.transcoding.transport.native import NativeTransport, Target, frames
from tests import accepting
from tests.integration.gateway.raw_server import (
    GRPC,
    MESSAGE,
    Heard,
    answering,
    data,
    fields,
    good,
)
from tests.integration.gateway.streaming_server import Streams
from tests.integration.gateway.streaming_server import call as stream_call
from tests.integration.gateway.transports import call, opened

pytestmark = pytest.mark.timeout(60)

_OK = ("grpc-status", "0")


async def _all(replies: ReplyStream) -> list[bytes]:
    async with asyncio.timeout(30):
        return [message async for message in replies]


async def _code(replies: ReplyStream) -> int:
    try:
        await _all(replies)
    except StatusError as error:
        return error.status.code
    return code_pb2.OK


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def _watched(transport: Transport) -> ReplyStream:
    return transport.stream(call("Watch"), b"hello")


async def test_requests_that_fail_are_cut_off() -> None:
    """Requests that fail do not end on the wire: the stream is reset, by CANCEL."""
    heard: list[Heard] = []

    def sent(kind: int) -> list[Heard]:
        return [frame for frame in heard if (frame.kind, frame.stream_id) == (kind, 1)]

    async def failing() -> Messages:
        yield b"1"
        await _until(lambda: sent(frames.DATA) != [])
        raise ValueError("no number")

    async with answering(good, heard=heard) as port, opened("native", port) as transport:
        with pytest.raises(ValueError, match="no number"):
            await _all(transport.stream(call("Chat"), failing()))
        await _until(lambda: sent(frames.RST_STREAM) != [])
    assert [0] == [frame.flags & frames.END_STREAM for frame in sent(frames.DATA)]
    assert [frames.CANCEL] == [frames.word(frame.payload) for frame in sent(frames.RST_STREAM)]


async def test_windows_open_as_messages_are_taken() -> None:
    """The stream's window opens when a reader takes messages, not when they come."""
    heard: list[Heard] = []
    message = b"\0" + (9_995).to_bytes(4, "big") + bytes(9_995)

    def answer(stream_id: int) -> bytes:
        return fields(stream_id, *GRPC) + data(stream_id, message) * 6

    def granted() -> int:
        return sum(
            frames.word(frame.payload)
            for frame in heard
            if (frame.kind, frame.stream_id) == (frames.WINDOW_UPDATE, 1)
        )

    async with answering(answer, heard=heard) as port, opened("native", port) as transport:
        messages = aiter(_watched(transport))
        for taken in range(1, 7):
            assert 9_995 == len(await anext(messages))
            if taken < 4:
                assert 0 == granted()
        # Half of the window is opened at once: not with every message.
        await _until(lambda: granted() >= 32_768)
        assert granted() <= 60_000
        await messages.aclose()  # type: ignore[attr-defined]  # a generator's


async def test_goodbye_during_a_stream() -> None:
    """A stream that the server has taken goes on after its goodbye; new ones go elsewhere."""
    heard: list[Heard] = []
    connections: list[int] = []

    def answer(stream_id: int) -> bytes:
        connection = heard[-1].connection
        if connection not in connections:
            connections.append(connection)
        if connections.index(connection) > 0:
            return good(stream_id)
        if stream_id == 1:
            return fields(1, *GRPC) + data(1, MESSAGE)
        # The first stream was taken, the one that comes now was not.
        goodbye = frames.frame(frames.GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4))
        rest = data(1, MESSAGE) + fields(1, _OK, ends=True)
        return goodbye + rest

    async with answering(answer, heard=heard) as port, opened("native", port) as transport:
        first = _watched(transport)
        messages = aiter(first)
        assert b"ok" == await anext(messages)
        assert [b"ok"] == await _all(_watched(transport))
        assert [b"ok"] == [message async for message in messages]
    assert 2 == len(connections)


async def test_cut_in_the_midst_of_a_message() -> None:
    """A connection that ends in the midst of a message is UNAVAILABLE, after what had come."""

    def answer(stream_id: int) -> bytes:
        return fields(stream_id, *GRPC) + data(stream_id, MESSAGE + MESSAGE[:-1])

    async with answering(answer, hangs_up=True) as port, opened("native", port) as transport:
        came: list[bytes] = []
        with pytest.raises(StatusError) as caught:
            async for message in _watched(transport):
                came.append(message)  # noqa: PERF401  # what came before the failure counts
    assert ([b"ok"], code_pb2.UNAVAILABLE) == (came, caught.value.status.code)


@pytest.mark.parametrize("times", [1, 2])
async def test_refused(times: int) -> None:
    """A stream that a server refuses is made again, with its requests, but only once."""
    heard: list[Heard] = []
    refused: list[int] = []

    def answer(stream_id: int) -> bytes:
        if len(refused) == times:
            return good(stream_id)
        refused.append(stream_id)
        return frames.rst_stream(stream_id, frames.REFUSED_STREAM)

    async def three() -> Messages:
        for number in range(3):
            yield b"%d" % number

    async with answering(answer, heard=heard) as port, opened("native", port) as transport:
        code = await _code(transport.stream(call("Chat"), three()))
    assert (code_pb2.OK if times == 1 else code_pb2.UNAVAILABLE) == code
    for stream_id in (1, 3):
        sent = b"".join(
            frame.payload
            for frame in heard
            if (frame.kind, frame.stream_id) == (frames.DATA, stream_id)
        )
        assert b"".join(b"\0\0\0\0\1%d" % number for number in range(3)) == sent


async def test_refused_after_more_than_is_kept() -> None:
    """A stream of which more was sent than is kept for another try fails when it is refused."""

    async def much() -> Messages:
        for _ in range(10):
            yield bytes(60_000)

    def refuse(stream_id: int) -> bytes:
        return frames.rst_stream(stream_id, frames.REFUSED_STREAM)

    window = frames.window_update(0, 10_000_000) + frames.window_update(1, 10_000_000)
    async with (
        answering(refuse, on_message=window) as port,
        opened("native", port) as transport,
    ):
        assert code_pb2.UNAVAILABLE == await _code(transport.stream(call("Chat"), much()))


async def test_requests_within_the_windows() -> None:
    """Requests go out as far as the windows let them, and no further ones are taken."""
    heard: list[Heard] = []
    taken = 0

    async def plenty() -> Messages:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(20_000)

    async with answering(good, heard=heard) as port, opened("native", port) as transport:
        code = await _code(transport.stream(call("Chat", timeout=3), plenty()))
    sent = sum(len(frame.payload) for frame in heard if frame.kind == frames.DATA)
    assert (code_pb2.DEADLINE_EXCEEDED, 65_535, 4) == (code, sent, taken)


async def test_requests_wait_for_the_network() -> None:
    """However wide a server opens its windows, no more is taken than the network carries."""
    largest = 2**31 - 1
    settings = struct.pack(">HIHI", 4, largest, 5, 2**24 - 1)
    greeting = frames.frame(frames.SETTINGS, 0, 0, settings)
    greeting += frames.window_update(0, largest - 65_535)
    is_over = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await is_over.wait()
        writer.close()

    taken = 0

    async def endless() -> Messages:
        nonlocal taken
        while taken < 1_000:
            taken += 1
            yield bytes(100_000)

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with accepting.closing(server) as port, opened("native", port) as transport:
        code = await _code(transport.stream(call("Chat", timeout=2), endless()))
        is_over.set()
    assert code_pb2.DEADLINE_EXCEEDED == code
    # Some megabytes are the system's, on both sides.
    assert taken < 300


async def test_certificates_renewed() -> None:
    """Streams go on over the connection they began on; new ones go over new connections."""
    server = Streams(answers=1, hangs=True)
    async with server.served() as port, opened("native", port) as transport:
        assert isinstance(transport, NativeTransport)
        messages = aiter(transport.stream(stream_call("ServerStream"), b""))
        await anext(messages)
        there = Target(name="127.0.0.1", port=port, context=None)
        former = await transport.renew_when_ready(there, 5)
        closing = asyncio.create_task(former.close(20))
        again = aiter(transport.stream(stream_call("ServerStream"), b""))
        await anext(again)
        assert not closing.done()
        await messages.aclose()  # type: ignore[attr-defined]  # a generator's
        async with asyncio.timeout(30):
            await closing
        await again.aclose()  # type: ignore[attr-defined]  # a generator's
