"""The gateway's HTTP server with a handler of the test's own, and a client that speaks bytes."""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.http1.limits import Limits
from gateway.http1.server import Server
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse

SOON = Limits(
    header_seconds=0.1,
    body_seconds=0.1,
    idle_seconds=0.1,
    write_seconds=0.2,
    linger_seconds=0.1,
    ping_seconds=0.1,
    sweep_seconds=0.02,
)
"""Limits of time that a test can wait for."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server, and the connections to it."""

    server: Server
    host: str
    port: int
    clients: list["Client"] = field(default_factory=list)

    async def connect(self) -> "Client":
        """Opens a connection, which ends with the server if not before."""
        client = Client(*await asyncio.open_connection(self.host, self.port))
        self.clients.append(client)
        return client

    async def spoken(self, *data: bytes) -> bytes:
        """Sends bytes and reads until the server ends the connection."""
        async with self.client() as client:
            for each in data:
                await client.send(each)
            return await client.rest()

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        """Opens a connection for a block."""
        client = await self.connect()
        try:
            yield client
        finally:
            await client.close()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Sends bytes, and has the server read them on their own."""
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0.01)
        # On a machine that has much else to do the bytes may still be on their way.
        for _ in range(20):
            if self._unacknowledged_bytes() == 0:
                break
            await asyncio.sleep(0.005)

    def _unacknowledged_bytes(self) -> int:
        own: socket.socket = self.writer.get_extra_info("socket")
        if own.fileno() < 0:
            return 0
        return int.from_bytes(fcntl.ioctl(own, termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)

    async def head(self) -> bytes:
        """Reads a header, with its empty line."""
        async with asyncio.timeout(30):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes]:
        """Reads an answer with a content-length: its status, and its body."""
        head = await self.head()
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        async with asyncio.timeout(30):
            body = await self.reader.readexactly(int(length or 0))
        return int(head[9:12]), body

    async def rest(self) -> bytes:
        """Reads until the server ends the connection."""
        async with asyncio.timeout(30):
            return await self.reader.read()

    async def close(self) -> None:
        """Closes, whatever the server thinks of it."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def serving(
    handler: Handler, limits: Limits | None = None, *, client_of: Callable[[str], str] = str
) -> AsyncIterator[Served]:
    """Serves a handler on a free port until the block is left."""
    listening = socket.create_server(("127.0.0.1", 0))
    host, port = listening.getsockname()
    async with Server(handler, limits, client_of=client_of) as server:
        await server.listen(listening)
        served = Served(server=server, host=host, port=port)
        try:
            yield served
        finally:
            for client in served.clients:
                await client.close()


class Echo:
    """A handler that tells what it was asked, and how the body came.

    It answers at once; for a path below /later by a Future; what it was asked is in `requests`.
    """

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: HttpRequest) -> Answer:
        """Answers."""
        self.requests.append(request)
        if request.body is not None and not request.path.startswith("/later"):
            return self._told(request, request.body)
        return asyncio.get_running_loop().create_task(self._read(request))

    async def _read(self, request: HttpRequest) -> HttpResponse:
        body = b"".join([piece async for piece in request.chunks()])
        return self._told(request, body)

    def _told(self, request: HttpRequest, body: bytes) -> HttpResponse:
        self.bodies.append(body)
        told = f"{request.method} {request.path}?{request.query} ".encode() + body
        return HttpResponse(status=200, headers=[(b"content-type", b"text/plain")], body=told)
