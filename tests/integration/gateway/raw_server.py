"""A server that says, byte by byte, what a test tells it to say, whatever the client asks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import hpack

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.frames import FrameReader
from tests import accepting

SETTINGS = frames.frame(frames.SETTINGS, 0, 0)
GRPC = ((":status", "200"), ("content-type", "application/grpc"))
MESSAGE = b"\0\0\0\0\2ok"


class Heard(NamedTuple):
    """A frame that came, and by which connection."""

    connection: int
    kind: int
    flags: int
    stream_id: int
    payload: bytes


Answer = Callable[[int], bytes]
"""Gives what to send when a request on the stream of that number has ended."""


def fields(
    stream_id: int, *pairs: tuple[str, str], ends: bool = False, flags: int = frames.END_HEADERS
) -> bytes:
    """Writes a header block."""
    encoder = hpack.Encoder()
    block = b"".join(
        # One at a time and never indexed: the table stays empty, whatever came before.
        encoder.encode([hpack.NeverIndexedHeaderTuple(*pair)])
        for pair in pairs
    )
    if ends:
        flags |= frames.END_STREAM
    return frames.frame(frames.HEADERS, flags, stream_id, block)


def data(stream_id: int, payload: bytes, *, ends: bool = False) -> bytes:
    """Writes a piece of a message."""
    return frames.frame(frames.DATA, frames.END_STREAM if ends else 0, stream_id, payload)


def good(stream_id: int) -> bytes:
    """Answers as a server should."""
    return (
        fields(stream_id, *GRPC)
        + data(stream_id, MESSAGE)
        + fields(stream_id, ("grpc-status", "0"), ends=True)
    )


@asynccontextmanager
async def answering(
    answer: Answer,
    *,
    greeting: bytes = SETTINGS,
    on_message: bytes = b"",
    hangs_up: bool = False,
    heard: "list[Heard] | None" = None,
) -> AsyncIterator[int]:
    """Serves until the block is left; yields the port.

    `on_message` is said at each piece of a message that is not the last; `hangs_up` closes after
    each answer. `heard` gets all that came.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # A cancelled task would be reported by the stream's own callback.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.write(greeting)
                log = [] if heard is None else heard
                await _talk(reader, writer, answer, on_message, log, hangs_up=hangs_up)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await accepting.close(server)
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await accepting.some_turns()


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answer,
    on_message: bytes,
    heard: list[Heard],
    *,
    hangs_up: bool,
) -> None:
    await reader.readexactly(len(frames.PREFACE))
    parser = FrameReader()
    while received := await reader.read(65_536):
        for kind, flags, stream_id, payload in parser.feed(received):
            heard.append(Heard(id(writer), kind, flags, stream_id, payload))
            if kind == frames.SETTINGS and not flags & frames.ACK:
                writer.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
            if kind == frames.DATA and not flags & frames.END_STREAM:
                writer.write(on_message)
            if kind == frames.DATA and flags & frames.END_STREAM:
                writer.write(answer(stream_id))
                await writer.drain()
                if hangs_up:
                    return
