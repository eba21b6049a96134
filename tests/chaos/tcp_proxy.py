"""A TCP proxy that can behave as badly as a network does.

    async with TcpProxy("127.0.0.1:5432") as proxy:
        ...                              # clients connect to proxy.address
        proxy.forward.delay_seconds = 1  # from the client to the server
        proxy.hold()                     # a black hole: connections stay, nothing passes
        proxy.heal()                     # what was held passes late, as after a partition
        proxy.cut()                      # every connection is reset

| knob of one direction | effect on the bytes that go that way                             |
|-----------------------|------------------------------------------------------------------|
| `delay_seconds`       | each piece comes so much later                                   |
| `held`                | nothing passes until it is let go; nothing is lost               |
| `dropped`             | pieces vanish; such a connection is reset when the proxy heals   |
| `bytes_per_second`    | no more than that pass, on each connection                       |

`duplicated` sends what clients say down a second connection too, whose answers nobody reads.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests import accepting

_PIECE_BYTES = 64 * 1024
_CONNECT_SECONDS = 5
# Closing with this set sends a reset instead of a farewell (socket(7), SO_LINGER).
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True, kw_only=True)
class Direction:
    """What happens to the bytes that go one way."""

    delay_seconds: float = 0.0
    dropped: bool = False
    bytes_per_second: float | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    @property
    def held(self) -> bool:
        """Whether bytes wait until it is let go."""
        return not self._open.is_set()

    @held.setter
    def held(self, held: bool) -> None:
        if held:
            self._open.clear()
        else:
            self._open.set()

    async def carry(self, piece: bytes) -> bytes:
        """Returns the piece when it may arrive; empty if it is lost."""
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.bytes_per_second:
            await asyncio.sleep(len(piece) / self.bytes_per_second)
        await self._open.wait()
        return b"" if self.dropped else piece

    def heal(self) -> None:
        """Lets everything pass as it comes."""
        self.delay_seconds, self.bytes_per_second, self.dropped = 0.0, None, False
        self.held = False


@dataclass(slots=True, kw_only=True, eq=False)
class _Connection:
    """One client's connection and the tasks that carry its bytes."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    incomplete: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


class TcpProxy:
    """Passes connections on to `target`, `host:port`. `forward` is from its clients to it."""

    def __init__(self, target: str) -> None:
        self.forward, self.backward = Direction(), Direction()
        self.refusing = False
        self.duplicated = False
        self._target = target.rsplit(":", 1)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        assert self._server
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server
        await accepting.close(self._server)
        self.cut()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def cut(self) -> int:
        """Resets every connection; returns how many."""
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    def hold(self) -> None:
        """Becomes a black hole, both ways."""
        self.forward.held = self.backward.held = True

    def heal(self) -> None:
        """Behaves again; connections that have lost bytes are reset."""
        self.forward.heal()
        self.backward.heal()
        self.refusing = self.duplicated = False
        for connection in [each for each in self._connections if each.incomplete]:
            connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, TimeoutError):
            _reset(writer)
        finally:
            self._serving.discard(task)
            # One that was cancelled while it was being connected too.
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            raise ConnectionRefusedError
        answers, server = await self._connect()
        connection = _Connection(client=writer, server=server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, server, self.forward, connection))
                tasks.create_task(self._carry(answers, writer, self.backward, connection))
        except* (OSError, RuntimeError):
            # uvloop's word for a connection that is closed is RuntimeError.
            connection.reset()
        finally:
            self._connections.discard(connection)
            for each in (writer, server):
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(*self._target, limit=_PIECE_BYTES)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        connection: _Connection,
    ) -> None:
        """Carries bytes until their end, and then says that they have ended."""
        second: asyncio.StreamWriter | None = None
        try:
            while piece := await reader.read(_PIECE_BYTES):
                arrived = await direction.carry(piece)
                connection.incomplete |= len(arrived) < len(piece)
                writer.write(arrived)
                await writer.drain()
                if self.duplicated and direction is self.forward:
                    second = second or (await self._connect())[1]
                    second.write(arrived)
                    await second.drain()
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()
        finally:
            if second is not None:
                second.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
