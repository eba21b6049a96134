"""A connection of the HTTP server without a socket: moments that a client cannot choose."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.http1.connection import Connection
from gateway.http1.endpoint import Endpoint
from gateway.http1.limits import Limits
from gateway.http1.write_watch import WriteWatch
from gateway.transcoding.http import Chunks, Handler, HttpResponse, WebSocket

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Keeps what is written; the test says when the connection is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps it."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Is open until the test says otherwise."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Lets another protocol take over."""
        self.protocol = protocol

    def resume_reading(self) -> None:
        """Never stopped."""


def connected(handler: Handler) -> tuple[Connection, Wire]:
    """Makes a connection that has just been opened."""
    connection, wire = Connection(Endpoint(handler, Limits())), Wire()
    wire.protocol = connection
    connection.connection_made(wire)
    return connection, wire


async def in_time(condition: Callable[[], Awaitable[object]]) -> None:
    """Waits for what must happen soon."""
    async with asyncio.timeout(30):
        await condition()


def test_requests_that_come_together_are_answered_together():
    """Answers that a handler gives at once are written one by one, within one turn of the loop."""
    connection, wire = connected(lambda _: HttpResponse(status=200, body=b"a"))
    connection.data_received(GET * 3)
    assert [b"a"] * 3 == [written[-1:] for written in wire.written]


async def test_chunks_end_even_if_the_client_left_before_they_began():
    """A client that leaves in the very moment of the answer leaves nothing open behind it."""
    closed = asyncio.Event()

    async def chunks() -> Chunks:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    connection, _ = connected(lambda _: HttpResponse(status=200, body=chunks()))
    connection.data_received(GET)
    connection.connection_lost(None)
    await in_time(closed.wait)


async def test_a_speaker_ends_even_if_the_client_left_before_it_began():
    """The same holds for who speaks on a WebSocket."""
    ended = asyncio.Event()

    async def speak(_: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    connection, wire = connected(lambda _: HttpResponse(status=101, websocket=speak))
    connection.data_received(HANDSHAKE)
    assert wire.protocol is not None
    wire.protocol.connection_lost(None)
    await in_time(ended.wait)


def test_a_client_owes_reading_only_what_it_was_sent():
    """Who has nothing to read is in no debt; who has must take a part of it in every window."""
    limits = Limits(write_seconds=10.0, write_bytes_per_second=100.0)
    watch = WriteWatch()

    def stalls(now: float, written: int, unsent: int) -> bool:
        return watch.is_stalled(written_bytes=written, unsent_bytes=unsent, limits=limits, now=now)

    observed = [
        (1.0, 0, 0),
        (100.0, 5000, 5000),
        (109.0, 5000, 5000),
        (111.0, 5000, 3000),  # 2,000 bytes in eleven seconds will do
        (121.5, 90_000, 87_900),  # 100 bytes in the next ten do not, whatever was added
    ]
    assert [False, False, False, False, True] == [stalls(*each) for each in observed]
    assert not stalls(122.0, 90_000, 0)
    assert not stalls(500.0, 90_001, 1)
