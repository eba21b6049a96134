"""One address of a service: a connection, or the tries to have one.

    CONNECTING --> READY --retired--> CONNECTING
        `--failed--> TRANSIENT_FAILURE --connected--> READY

As gRPC's round_robin has it, an address that has failed stays so until it is connected again.
"""

import asyncio
import enum
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.transcoding.transport.native.backoff import Backoff
from gateway.transcoding.transport.native.connection import Connection
from gateway.transcoding.transport.native.tasks import cancel, report_unforeseen

# Until the server has said its settings.
_CONNECT_SECONDS: Final = 5.0
# A connection that ended sooner than this was no success.
_STABLE_SECONDS: Final = 1.0
_INITIAL_SECONDS: Final = 0.1
_MAX_SECONDS: Final = 3.0
_MULTIPLIER: Final = 1.6


class State(enum.Enum):
    """What a call may expect of an address."""

    CONNECTING = enum.auto()
    READY = enum.auto()
    TRANSIENT_FAILURE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is called: `name` and `port` as given, the TLS context, None for plaintext."""

    name: str
    port: int
    context: ssl.SSLContext | None

    @property
    def authority(self) -> str:
        """What `:authority` says (RFC 9113 section 8.3.1)."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}"


class Subchannel:
    """Keeps one address connected, until it is closed."""

    def __init__(self, address: str, target: Target, on_change: Callable[[], None]) -> None:
        """`on_change` is called after each change of `state` and `connection`, and each failure."""
        self.state = State.CONNECTING
        self.connection: Connection | None = None
        self._address = address
        self._target = target
        self._on_change = on_change
        self._retired = asyncio.Event()
        self._connections: set[Connection] = set()
        self._task = asyncio.create_task(self._keep_connected(), name=f"connection to {address}")

    async def close(self, grace_seconds: float) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        self._on_change = _nothing
        await cancel(self._task)
        connections = list(self._connections)
        for connection in connections:
            connection.drain()
        try:
            async with asyncio.timeout(grace_seconds):
                for connection in connections:
                    await connection.closed.wait()
        except TimeoutError:
            pass
        finally:
            for connection in connections:
                connection.abort()

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(
            initial_seconds=_INITIAL_SECONDS, max_seconds=_MAX_SECONDS, multiplier=_MULTIPLIER
        )
        while True:
            self._retired = asyncio.Event()
            try:
                connection = await self._connect()
            except Exception as error:  # noqa: BLE001  # no failure may be the last try
                report_unforeseen(error, f"connecting to {self._address}")
                self._change(State.TRANSIENT_FAILURE, None)
                await asyncio.sleep(backoff.next_seconds())
                continue
            since = loop.time()
            if not self._retired.is_set():
                self._change(State.READY, connection)
            await self._retired.wait()
            if loop.time() - since >= _STABLE_SECONDS:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_seconds())

    async def _connect(self) -> Connection:
        """Raises OSError, of which ssl.SSLError is one, TimeoutError or UnicodeError."""
        retired = self._retired
        target = self._target

        def retire() -> None:
            retired.set()
            # Now rather than when the task wakes: a call made meanwhile must not come here.
            if self.connection is connection:
                self._change(State.CONNECTING, None)

        connection = Connection(
            target.authority, is_secure=target.context is not None, on_retired=retire
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    self._address,
                    target.port,
                    ssl=target.context,
                    server_hostname=target.name if target.context is not None else None,
                )
                await connection.opened
        except BaseException:
            connection.abort()
            raise
        self._watch(connection)
        return connection

    def _watch(self, connection: Connection) -> None:
        self._connections = {each for each in self._connections if not each.closed.is_set()}
        self._connections.add(connection)

    def _change(self, state: State, connection: Connection | None) -> None:
        self.state, self.connection = state, connection
        self._on_change()


def _nothing() -> None:
    return
