"""Servers that break the rules: every call ends with a status, and none hangs."""

import asyncio
import gzip
import struct

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native import frames
from tests.integration.gateway.raw_server import (
    GRPC,
    MESSAGE,
    Answer,
    answering,
    data,
    fields,
    good,
)
from tests.integration.gateway.transports import KINDS, call, opened

pytestmark = pytest.mark.timeout(60)

_OK = ("grpc-status", "0")
_ZIPPED = gzip.compress(b"zipped")


async def _code(kind: str, port: int, *, streams: bool = False, seconds: float = 3) -> int:
    """Calls once, for so long; returns the code, 0 for an answer."""
    async with opened(kind, port) as transport:
        try:
            async with asyncio.timeout(30):
                if streams:
                    async for _ in transport.stream(call("Echo", timeout=seconds), b"hello"):
                        pass
                else:
                    await transport.unary(call("Echo", timeout=seconds), b"hello")
        except StatusError as error:
            return error.status.code
        return code_pb2.OK


def _reset(code: int) -> Answer:
    return lambda stream_id: frames.rst_stream(stream_id, code)


def _http(status: str, content_type: str = "text/html") -> Answer:
    return lambda stream_id: (
        fields(stream_id, (":status", status), ("content-type", content_type))
        + data(stream_id, b"<html>", ends=True)
    )


def _trailers_only(*pairs: tuple[str, str]) -> Answer:
    return lambda stream_id: fields(stream_id, *GRPC, *pairs, ends=True)


def _message(wire: bytes, *headers: tuple[str, str]) -> Answer:
    return lambda stream_id: (
        fields(stream_id, *GRPC, *headers)
        + data(stream_id, wire)
        + fields(stream_id, _OK, ends=True)
    )


def _zipped(flag: int, body: bytes, encoding: str) -> Answer:
    return _message(struct.pack(">BI", flag, len(body)) + body, ("grpc-encoding", encoding))


ANSWERS: dict[str, tuple[int, Answer]] = {
    "good": (code_pb2.OK, good),
    "reset: no error": (code_pb2.INTERNAL, _reset(0x0)),
    "reset: protocol error": (code_pb2.INTERNAL, _reset(0x1)),
    "reset: internal error": (code_pb2.INTERNAL, _reset(0x2)),
    "reset: flow control": (code_pb2.INTERNAL, _reset(0x3)),
    "reset: frame size": (code_pb2.INTERNAL, _reset(0x6)),
    "reset: refused": (code_pb2.UNAVAILABLE, _reset(0x7)),
    "reset: cancel": (code_pb2.CANCELLED, _reset(0x8)),
    "reset: compression": (code_pb2.INTERNAL, _reset(0x9)),
    "reset: enhance your calm": (code_pb2.RESOURCE_EXHAUSTED, _reset(0xB)),
    "reset: inadequate security": (code_pb2.PERMISSION_DENIED, _reset(0xC)),
    "reset: unknown": (code_pb2.INTERNAL, _reset(0xFFFF)),
    "http 400": (code_pb2.INTERNAL, _http("400")),
    "http 401": (code_pb2.UNAUTHENTICATED, _http("401")),
    "http 403": (code_pb2.PERMISSION_DENIED, _http("403")),
    "http 404": (code_pb2.UNIMPLEMENTED, _http("404")),
    "http 429": (code_pb2.UNAVAILABLE, _http("429")),
    "http 500": (code_pb2.UNKNOWN, _http("500")),
    "http 502": (code_pb2.UNAVAILABLE, _http("502")),
    "http 503": (code_pb2.UNAVAILABLE, _http("503")),
    "http 504": (code_pb2.UNAVAILABLE, _http("504")),
    "trailers only": (code_pb2.NOT_FOUND, _trailers_only(("grpc-status", "5"))),
    "unknown status": (code_pb2.UNKNOWN, _trailers_only(("grpc-status", "77"))),
    "no number": (code_pb2.UNKNOWN, _trailers_only(("grpc-status", "x"))),
    "no status": (code_pb2.UNKNOWN, _trailers_only()),
    "two messages": (code_pb2.INTERNAL, _message(MESSAGE + MESSAGE)),
    "half a message": (code_pb2.INTERNAL, _message(MESSAGE[:-1])),
    "too large": (code_pb2.RESOURCE_EXHAUSTED, _message(struct.pack(">BI", 0, 2**31))),
    "gzip": (code_pb2.OK, _zipped(1, _ZIPPED, "gzip")),
    "gzip unused": (code_pb2.OK, _zipped(0, b"plain", "gzip")),
    "not gzip": (code_pb2.INTERNAL, _zipped(1, b"not gzip", "gzip")),
    "compressed, unsaid": (code_pb2.INTERNAL, _zipped(1, _ZIPPED, "identity")),
    "ends without trailers": (
        code_pb2.UNKNOWN,
        lambda stream_id: fields(stream_id, *GRPC) + data(stream_id, MESSAGE, ends=True),
    ),
    "informational": (
        code_pb2.OK,
        lambda stream_id: fields(stream_id, (":status", "103")) + good(stream_id),
    ),
    "padded": (
        code_pb2.OK,
        lambda stream_id: (
            fields(stream_id, *GRPC)
            + frames.frame(frames.DATA, frames.PADDED, stream_id, b"\3" + MESSAGE + b"\0\0\0")
            + fields(stream_id, _OK, ends=True)
        ),
    ),
    "continued": (
        code_pb2.OK,
        lambda stream_id: (
            fields(stream_id, GRPC[0], flags=0)
            + frames.frame(
                frames.CONTINUATION, frames.END_HEADERS, stream_id, fields(1, GRPC[1])[9:]
            )
            + data(stream_id, MESSAGE)
            + fields(stream_id, _OK, ends=True)
        ),
    ),
    "piece by piece": (
        code_pb2.OK,
        lambda stream_id: (
            fields(stream_id, *GRPC)
            + b"".join(data(stream_id, bytes((byte,))) for byte in MESSAGE)
            + fields(stream_id, _OK, ends=True)
        ),
    ),
    "ping first": (
        code_pb2.OK,
        lambda stream_id: frames.frame(frames.PING, 0, 0, b"12345678") + good(stream_id),
    ),
    "unknown frame": (
        code_pb2.OK,
        lambda stream_id: frames.frame(0xFA, 0xFF, 0, b"grease") + good(stream_id),
    ),
}


# Where grpc.aio is no measure: a code that is none raises KeyError; of two messages it takes the
# first; half of one is an answer to wait for, or is none; flags, padding and 1xx it does not know.
ONLY_NATIVE = {
    "unknown status",
    "two messages",
    "half a message",
    "too large",
    "compressed, unsaid",
    "informational",
    "padded",
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in KINDS
        for name in ANSWERS
        if kind == "native" or name not in ONLY_NATIVE
    ],
)
async def test_answer(kind: str, name: str) -> None:
    """What a server answers gives the code of gRPC's tables, by either transport."""
    expected, answer = ANSWERS[name]
    async with answering(answer) as port:
        assert expected == await _code(kind, port)


FAULTS: dict[str, Answer] = {
    "garbage": lambda _: b"\xff" * 4096,
    "http/1.1": lambda _: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "frame too large": lambda stream_id: data(stream_id, b"x" * 20_000),
    "bad hpack": lambda stream_id: frames.frame(
        frames.HEADERS, frames.END_HEADERS, stream_id, b"\xff\xff\xff\xff\xff"
    ),
    "stream that never began": lambda _: good(4001),
    "even stream": lambda _: good(2),
    "push": lambda stream_id: frames.frame(
        frames.PUSH_PROMISE, frames.END_HEADERS, stream_id, b"\0\0\0\2\x88"
    ),
    "continuation of nothing": lambda stream_id: frames.frame(
        frames.CONTINUATION, frames.END_HEADERS, stream_id, b"\x88"
    ),
    "block interrupted": lambda stream_id: (
        fields(stream_id, *GRPC, flags=0) + data(stream_id, MESSAGE)
    ),
    "endless block": lambda stream_id: (
        fields(stream_id, *GRPC, flags=0)
        + frames.frame(frames.CONTINUATION, 0, stream_id, b"\0\1a\1b" * 3_000) * 10
    ),
    "padding beyond the frame": lambda stream_id: (
        fields(stream_id, *GRPC) + frames.frame(frames.DATA, frames.PADDED, stream_id, b"\xff1")
    ),
    "short ping": lambda _: frames.frame(frames.PING, 0, 0, b"short"),
    "window overflow": lambda _: frames.window_update(0, 2**31 - 1) * 2,
    "settings cut off": lambda _: frames.frame(frames.SETTINGS, 0, 0, b"\0"),
    "bad frame size": lambda _: frames.frame(frames.SETTINGS, 0, 0, struct.pack(">HI", 5, 1)),
    "settings of a stream": lambda stream_id: frames.frame(frames.SETTINGS, 0, stream_id),
    "data without headers": lambda stream_id: data(stream_id, MESSAGE, ends=True),
    "headers twice": lambda stream_id: fields(stream_id, *GRPC) * 2,
    "metadata too large": lambda stream_id: fields(stream_id, *GRPC, ("x-long", "x" * 16_000)),
    "reset storm": lambda stream_id: frames.rst_stream(stream_id, 0x1) * 5_000,
    "reset before it began": lambda stream_id: frames.rst_stream(stream_id + 2, 0x1),
    "silence": lambda _: b"",
    "goodbye": lambda _: frames.goaway(0xB),
    "pings": lambda _: frames.frame(frames.PING, 0, 0, b"12345678") * 20_000,
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in KINDS
        for name in ANSWERS
        # grpc.aio says UNKNOWN of a stream that is answered in plain HTTP.
        if kind == "native" or not (name in ONLY_NATIVE or name.startswith("http "))
    ],
)
async def test_answer_of_a_stream(kind: str, name: str) -> None:
    """A stream ends with the same code, but may have two messages."""
    expected, answer = ANSWERS[name]
    if name == "two messages":
        expected = code_pb2.OK
    async with answering(answer) as port:
        assert expected == await _code(kind, port, streams=True)


@pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("name", FAULTS)
async def test_fault(name: str, *, streams: bool) -> None:
    """A server that breaks the rules fails the call in time, with a code that says so."""
    async with answering(FAULTS[name]) as port:
        code = await _code("native", port, streams=streams)
    assert code in {
        code_pb2.UNAVAILABLE,
        code_pb2.INTERNAL,
        code_pb2.UNKNOWN,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.RESOURCE_EXHAUSTED,
    }


@pytest.mark.parametrize(
    "greeting",
    [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 64, frames.frame(frames.SETTINGS, 0, 0, b"\0")],
    ids=["nothing", "http/1.1", "zeros", "bad settings"],
)
async def test_no_settings(greeting: bytes) -> None:
    """A server that never says its settings is as good as none."""
    async with answering(good, greeting=greeting) as port:
        assert await _code("native", port) in {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED}


@pytest.mark.parametrize("kind", KINDS)
async def test_hanging_up(kind: str) -> None:
    """A server that hangs up instead of answering is UNAVAILABLE."""
    async with answering(lambda _: b"", hangs_up=True) as port:
        assert code_pb2.UNAVAILABLE == await _code(kind, port, seconds=20)


async def test_refused_once() -> None:
    """A call that a server refused before it began to work is made again, once."""
    refused: list[int] = []

    def answer(stream_id: int) -> bytes:
        if refused:
            return good(stream_id)
        refused.append(stream_id)
        return frames.rst_stream(stream_id, frames.REFUSED_STREAM)

    async with answering(answer) as port:
        assert code_pb2.OK == await _code("native", port, seconds=20)


@pytest.mark.parametrize("kind", KINDS)
async def test_unprocessed_at_goodbye(kind: str) -> None:
    """A call that a server did not take before it said goodbye is made again elsewhere."""
    left: list[int] = []

    def answer(stream_id: int) -> bytes:
        if left:
            return good(stream_id)
        left.append(stream_id)
        return frames.goaway(frames.NO_ERROR)

    async with answering(answer) as port:
        assert code_pb2.OK == await _code(kind, port, seconds=20)


async def test_closed_window() -> None:
    """A server that never opens its window fails the call at its deadline."""
    async with answering(good, greeting=_window(0)) as port:
        assert code_pb2.DEADLINE_EXCEEDED == await _code("native", port)


async def test_window_by_window() -> None:
    """A message goes out as far as the stream's window lets it, the rest when it opens."""
    async with answering(good, greeting=_window(4), on_message=_window(100)) as port:
        assert code_pb2.OK == await _code("native", port, seconds=20)


def _window(size: int) -> bytes:
    return frames.frame(frames.SETTINGS, 0, 0, struct.pack(">HI", 4, size))


_BLOCKS = st.sampled_from(
    [GRPC, (), (_OK,), (*GRPC, _OK), (("grpc-status", "5"),), ((":status", "502"),)]
)
_NUMBERS = st.sampled_from([0, 1, 2, 3, 65_535, 2**31 - 1])


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    """Draws a frame that a server may say at the wrong time, or must not say at all."""
    stream_id = draw(st.sampled_from([1, 1, 1, 0, 3]))
    flags = draw(st.sampled_from([0, frames.END_STREAM, frames.PADDED]))
    word = draw(_NUMBERS).to_bytes(4, "big")
    kinds = {
        "headers": lambda: fields(stream_id, *draw(_BLOCKS), ends=flags == frames.END_STREAM),
        "data": lambda: frames.frame(
            frames.DATA,
            flags,
            stream_id,
            draw(st.sampled_from([MESSAGE, MESSAGE[:3], b"", b"\2x"])),
        ),
        "reset": lambda: frames.frame(frames.RST_STREAM, 0, stream_id, word),
        "settings": lambda: frames.frame(frames.SETTINGS, 0, 0, b"\0\4" + word),
        "window": lambda: frames.frame(frames.WINDOW_UPDATE, 0, stream_id, word),
        "goodbye": lambda: frames.frame(frames.GOAWAY, 0, 0, word + bytes(4)),
        "any": lambda: frames.frame(draw(st.integers(0, 12)), flags, stream_id, draw(st.binary())),
        "garbage": lambda: draw(st.binary(max_size=40)),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


@settings(max_examples=60, deadline=None)
@given(said=st.lists(_frames(), max_size=8), streams=st.booleans())
async def test_any_frames(said: list[bytes], *, streams: bool) -> None:
    """Whatever a server says before it hangs up, the call ends, and nothing of it is left."""
    before = asyncio.all_tasks()
    async with answering(lambda _: b"".join(said), hangs_up=True) as port:
        assert await _code("native", port, streams=streams) in range(17)
    left = asyncio.all_tasks() - before
    if left:  # what was cancelled ends in a later turn of the loop
        _, left = await asyncio.wait(left, timeout=10)
    assert set() == left
