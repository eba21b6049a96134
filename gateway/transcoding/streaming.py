"""Frames streams of messages in HTTP bodies, both ways.

request    NDJSON, one JSON value a line; or one JSON array (RFC 8259), element by element
response   NDJSON: a message a line, a failure as the last line
             {"@type": "type.googleapis.com/google.rpc.Status", "code": .., ..}
           or Server-Sent Events, where the client accepts text/event-stream
             id: <n> / data: <message>, a failure as `event: error`
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import StatusError, refuse, status_to_json, too_large
from gateway.transcoding.http import Chunks

NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"

KEEP_ALIVE_SECONDS: Final = 15.0
"""How long an event stream stays silent before a comment tells proxies that it lives."""

_STATUS_TYPE: Final = "type.googleapis.com/google.rpc.Status"


async def to_ndjson(texts: AsyncIterator[bytes], codec: Codec) -> Chunks:
    """Writes JSON texts a line each, and a failure as the last one."""
    try:
        async for text in texts:
            yield text + b"\n"
    except StatusError as error:
        status = {"@type": _STATUS_TYPE, **status_to_json(error.status, codec)}
        yield json.dumps(status, ensure_ascii=False).encode() + b"\n"


async def to_events(texts: "Lookahead", codec: Codec, *, after: int = 0) -> Chunks:
    """Writes JSON texts as events, numbered on from `after`, with comments in long silences."""
    number = after
    try:
        while True:
            while not await texts.is_ready(KEEP_ALIVE_SECONDS):
                yield b": keep-alive\n\n"
            text = await anext(texts, None)
            if text is None:
                return
            number += 1
            # The text has no line break to escape: JSON is written on one line.
            yield b"id: %d\ndata: %b\n\n" % (number, text)
    except StatusError as error:
        status = json.dumps(status_to_json(error.status, codec), ensure_ascii=False)
        yield b"event: error\ndata: %b\n\n" % status.encode()


class Lookahead:
    """A stream whose next message can be waited for before it is taken."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._messages = messages
        self._next: asyncio.Future[bytes] | None = None

    async def is_ready(self, timeout_seconds: float) -> bool:
        """Waits until taking the next message, the end or a failure would not have to wait."""
        done, _ = await asyncio.wait({self._ask()}, timeout=timeout_seconds)
        return bool(done)

    def failure(self) -> BaseException | None:
        """Gives what taking the next message would raise, of what is known now; not its end."""
        if self._next is None or not self._next.done():
            return None
        error = self._next.exception()
        return None if isinstance(error, StopAsyncIteration) else error

    def __aiter__(self) -> "Lookahead":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._ask()
        finally:
            self._next = None

    async def aclose(self) -> None:
        """Gives up the message that is waited for."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)

    def _ask(self) -> "asyncio.Future[bytes]":
        if self._next is None:
            self._next = asyncio.ensure_future(_take(self._messages))
        return self._next


async def _take(messages: AsyncIterator[bytes]) -> bytes:
    return await anext(messages)


async def read_values(chunks: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[bytes]:
    """Splits a body of NDJSON, or of one array, into the texts of its values.

    Raises StatusError for a value above the limit, and for what cannot be split.
    """
    splitter: _Lines | _Elements | None = None
    async for piece in chunks:
        chunk = piece if splitter is not None else piece.lstrip()
        if not chunk:
            continue
        if splitter is None:
            splitter = _Elements(limit_bytes) if chunk.startswith(b"[") else _Lines(limit_bytes)
        for text in splitter.feed(chunk):
            yield text
    if splitter is not None:
        for text in splitter.finish():
            yield text


class _Lines:
    """Splits NDJSON. Empty lines are skipped."""

    def __init__(self, limit_bytes: int) -> None:
        self._rest = b""
        self._limit = limit_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise too_large("a line", self._limit)
        return [line for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        return [self._rest] if self._rest.strip() else []


class _Elements:
    """Splits one array into its elements by brackets and strings; what is in them is read later."""

    def __init__(self, limit_bytes: int) -> None:
        self._element = bytearray()
        self._limit = limit_bytes
        self._depth = 0
        self._in_string = self._escaped = False
        self._state: Callable[[int], bytes | None] = self._start
        self._count = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        found = [text for byte in chunk if (text := self._state(byte)) is not None]
        if len(self._element) > self._limit or any(len(text) > self._limit for text in found):
            raise too_large("an element", self._limit)
        return found

    def finish(self) -> list[bytes]:
        if self._state != self._after:
            raise refuse("", "the array is not closed")
        return []

    def _start(self, _: int) -> None:
        # The opening bracket, by which this splitter was chosen.
        self._state = self._inside

    def _inside(self, byte: int) -> bytes | None:
        if self._in_string:
            self._element.append(byte)
            self._in_string = self._escaped or byte != _QUOTE
            self._escaped = not self._escaped and byte == _BACKSLASH
            return None
        if self._depth == 0 and byte in b",]":
            return self._end(byte)
        self._element.append(byte)
        self._in_string = byte == _QUOTE
        self._depth += (byte in b"[{") - (byte in b"]}")
        return None

    def _end(self, byte: int) -> bytes | None:
        text = bytes(self._element)
        self._element.clear()
        is_last = byte == _CLOSE
        if is_last:
            self._state = self._after
        if not text.strip():
            if is_last and self._count == 0:
                return None
            raise refuse("", "an element is missing")
        self._count += 1
        return text

    def _after(self, byte: int) -> None:
        if byte not in b" \t\r\n":
            raise refuse("", "there is more after the array")


_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_CLOSE: Final = ord("]")


async def mapped(messages: Any, convert: Callable[[bytes], bytes]) -> AsyncIterator[bytes]:
    """Converts each message as it comes."""
    async for message in messages:
        yield convert(message)
