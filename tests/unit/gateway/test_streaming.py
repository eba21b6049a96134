"""Streams without sockets: uploads cut anywhere, events in silences, bodies that are given up."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from gateway.transcoding import bindings, json_stream, streaming, websocket_call
from gateway.transcoding.call_body import CallBody
from gateway.transcoding.errors import StatusError
from gateway.transcoding.http import ClientGone
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.request import RequestBinder, RequestHead
from gateway.transcoding.streaming import Lookahead
from gateway.transcoding.transport import Call
from tests.unit.gateway.protos import codec, everything

VALUES = [
    b'{"a": "]},\\"[{", "b": [1, {"c": "\\\\"}]}',
    b'{"d": {}}',
    b'"\\u00e9,]"',
    b"[[],[]]",
    b"1",
]


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    """Gives pieces as they are."""
    for piece in given:
        yield piece


async def split(*given: bytes, limit_bytes: int = 1000) -> list[bytes]:
    """Splits a body that comes in pieces; gives the values without white space around them."""
    return [text.strip() async for text in json_stream.read_values(pieces(*given), limit_bytes)]


@pytest.mark.parametrize(
    "body", [b"[" + b" ,\n".join(VALUES) + b"]\n", b" \n[" + b",".join(VALUES) + b"]"]
)
async def test_an_array_may_be_cut_anywhere(body):
    """Where a body is cut into pieces says nothing of its values."""
    for at in range(len(body) + 1):
        assert VALUES == await split(body[:at], body[at:])
    assert VALUES == await split(*(body[at : at + 1] for at in range(len(body))))


async def test_lines_may_be_cut_anywhere():
    """Lines end by LF or CRLF, the last one also by the end of the body."""
    lines = [value for value in VALUES if not value.startswith(b"[")]
    for end, last in itertools.product((b"\n", b"\r\n", b"\n\n"), (b"", b"\n")):
        body = end.join(lines) + last
        for at in range(len(body) + 1):
            assert lines == await split(body[:at], body[at:])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[1,]", "an element is missing"),
        (b"[,1]", "an element is missing"),
        (b"[1", "the array is not closed"),
        (b'["]', "the array is not closed"),
        (b"[1] 2", "there is more after the array"),
        (b"[1}", "a bracket closes nothing"),
        (b"[" + b"1" * 1001, "an element is larger than 1000 bytes"),
        (b"[1," + b"1" * 1001 + b"]", "an element is larger than 1000 bytes"),
        (b"1" * 1001, "a line is larger than 1000 bytes"),
        (b"1\n" + b"1" * 1001 + b"\n", "a line is larger than 1000 bytes"),
    ],
)
async def test_what_cannot_be_split_is_refused(body, problem):
    """A body that is neither is refused, however it is cut."""
    for step in (1, 3, len(body)):
        with pytest.raises(StatusError) as refused:
            await split(*(body[at : at + step] for at in range(0, len(body), step)))
        assert problem in refused.value.status.message


@pytest.mark.parametrize("begin", [b"[", b""])
async def test_single_bytes_cost_no_more_than_themselves(begin):
    """A value that comes byte by byte takes time by its length, not by its square."""

    async def took(size: int) -> float:
        body = begin + b'"' + b"a" * size
        began = time.thread_time()
        with pytest.raises(StatusError):
            await split(
                *(body[at : at + 1] for at in range(len(body))),
                b"\x01" * size * 2,
                limit_bytes=size * 2,
            )
        return time.thread_time() - began

    # The best of some: now and then the garbage of all tests before is collected.
    short, long = [min([await took(size) for _ in range(3)]) for size in (50_000, 200_000)]
    # Four times as long; sixteen if each byte moved all before it.
    assert long < 10 * short


async def test_a_silent_event_stream_says_that_it_lives(monkeypatch):
    """A comment comes in each silence, and the message after it."""
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.01)
    speak = asyncio.Event()

    async def texts() -> AsyncIterator[bytes]:
        await speak.wait()
        yield b"1"

    events = streaming.to_events(Lookahead(texts()), codec())
    assert b": keep-alive\n\n" == await anext(events)
    assert b": keep-alive\n\n" == await anext(events)
    speak.set()
    assert b"id: 1\ndata: 1\n\n" == [event async for event in events][-1]


async def test_a_failure_tells_events_when_to_come_again():
    """RetryInfo is the time after which a browser opens the stream again."""
    status = status_pb2.Status(code=14, message="later")
    delay = duration_pb2.Duration(seconds=1, nanos=500_000_000)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))

    async def texts() -> AsyncIterator[bytes]:
        for text in (b"1",):
            yield text
        raise StatusError(status)

    [_, event] = [each async for each in streaming.to_events(Lookahead(texts()), codec())]
    assert event.startswith(b'event: error\nretry: 1500\ndata: {"code": 14, "message": "later"')


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
async def test_a_call_ends_with_its_body(taken):
    """A body ends its call when it is given up, whether or not anything was taken of it."""
    ended = []

    async def end() -> None:
        ended.append(True)

    body = CallBody(pieces(b"1", b"2"), end)  # type: ignore[arg-type]  # an async generator
    got = [await anext(body, None) for _ in range(taken)]
    assert [b"1", b"2", None][:taken] == got
    await body.aclose()
    assert ended


class Leaving:
    """A WebSocket whose client sends some messages and leaves."""

    def __init__(self, *messages: str) -> None:
        self._messages = list(messages)

    async def receive(self) -> str | None:
        """Gives the next message."""
        return self._messages.pop(0) if self._messages else None


@pytest.mark.parametrize(("sent", "is_whole"), [(["{}", ""], True), (["{}"], False), ([], False)])
async def test_half_an_upload_by_web_socket_is_none(sent, is_whole):
    """A client that leaves without the empty text has not ended its messages."""
    [binding] = [each for each in bindings.read(everything()) if each.method.name == "Chat"]
    reader = JsonReader(codec=codec())
    route: Any = SimpleNamespace(binding=binding, binder=RequestBinder(binding, reader))
    head = RequestHead(segments=["v1", "chat"], query="", headers=[])
    call = websocket_call.prepared(route, Call(path=binding.method.path), head, codec())
    socket: Any = Leaving(*sent)
    if is_whole:
        assert [b""] == [message async for message in call.requests(socket)]
    else:
        with pytest.raises(ClientGone):
            [message async for message in call.requests(socket)]
