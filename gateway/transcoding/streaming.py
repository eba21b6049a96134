"""Frames streams of messages in the bodies of answers.

NDJSON                a message a line, a failure as the last line
                        {"@type": "type.googleapis.com/google.rpc.Status", "code": .., ..}
Server-Sent Events    where the client accepts text/event-stream
                        id: <n> / data: <message>, a failure as `event: error`, with the time to
                        wait (`retry`) if the service tells
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import StatusError, retry_seconds, status_to_json
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
        yield status_line(error, codec) + b"\n"


def status_line(error: StatusError, codec: Codec) -> bytes:
    """Writes a failure where messages are expected: it says of itself that it is none."""
    status = {"@type": _STATUS_TYPE, **status_to_json(error.status, codec)}
    return json.dumps(status, ensure_ascii=False).encode()


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
        seconds = retry_seconds(error.status)
        retry = b"" if seconds is None else b"retry: %d\n" % round(seconds * 1000)
        yield b"event: error\n%bdata: %b\n\n" % (retry, status.encode())


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


async def mapped(messages: Any, convert: Callable[[bytes], bytes]) -> AsyncIterator[bytes]:
    """Converts each message as it comes."""
    async for message in messages:
        yield convert(message)
