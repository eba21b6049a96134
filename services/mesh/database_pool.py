"""One pool of PostgreSQL connections, with those who use it counted, so that it can be left alone.

    souk_database_connections      database, state ("in_use", "idle")
    souk_database_connections_max  database; more than so many wait
    souk_database_waiting          database; who waits for a connection

`database` is the pool's name, which PostgreSQL shows as `application_name`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from prometheus_client import Gauge

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # includes TimeoutError and ConnectionError
)
"""What asyncpg raises, of its own and of the network."""

CLOSE_SECONDS: Final = 5

_CONNECTIONS = Gauge("souk_database_connections", "Open connections.", ["database", "state"])
_MAX = Gauge("souk_database_connections_max", "Connections that may be open.", ["database"])
_WAITING = Gauge("souk_database_waiting", "Calls that wait for a connection.", ["database"])

_log = structlog.get_logger(__name__)


class Pool:
    """A pool whose users say when they begin and end."""

    def __init__(
        self, connections: "asyncpg.Pool[asyncpg.Record]", *, acquire_seconds: float
    ) -> None:
        self._connections = connections
        self._acquire_seconds = acquire_seconds
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self.waiting = 0
        self.is_retired = False
        """Whether new work goes elsewhere."""

    @property
    def size(self) -> tuple[int, int, int]:
        """How many connections are used and idle, and may be open."""
        idle = self._connections.get_idle_size()
        return self._connections.get_size() - idle, idle, self._connections.get_max_size()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the pool from being closed for the length of the block."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def acquire(self) -> "PoolConnectionProxy[asyncpg.Record]":
        """Lend a connection. Raises asyncpg's errors or OSError."""
        self.waiting += 1
        try:
            return await self._connections.acquire(timeout=self._acquire_seconds)
        finally:
            self.waiting -= 1

    async def release(self, conn: "PoolConnectionProxy[asyncpg.Record]") -> None:
        """Take a connection back. Raises asyncpg's errors or OSError."""
        await self._connections.release(conn, timeout=CLOSE_SECONDS)

    async def ready(self) -> None:
        """Pass when the server answers. Raises asyncpg's errors or OSError."""
        async with self._connections.acquire(timeout=self._acquire_seconds) as conn:
            await conn.execute("SELECT 1")

    async def retire(self, seconds: float) -> None:
        """Close when nobody uses it any more, at the latest after `seconds`."""
        self.is_retired = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._unused.wait()
            if self._unused.is_set():
                await self.close()
        finally:
            # Of those that listen: they are told of the end, and come back by the new pool.
            self._connections.terminate()

    async def close(self) -> None:
        """Close now; connections that are still used lose them after a moment."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connections.close()
        except TimeoutError:
            _log.warning("database connections still in use at the end")
            self._connections.terminate()


async def opened(
    url: str,
    *,
    sizes: tuple[int, int],
    acquire_seconds: float,
    command_seconds: float,
    settings: Mapping[str, str],
) -> Pool:
    """Open a pool; with a smallest size of 0 it connects when it is first used."""
    connections = await asyncpg.create_pool(
        url,
        min_size=sizes[0],
        max_size=sizes[1],
        timeout=acquire_seconds,
        command_timeout=command_seconds,
        server_settings=dict(settings),
    )
    return Pool(connections, acquire_seconds=acquire_seconds)


def measure(name: str, pool: Callable[[], Pool]) -> None:
    """Ask the pool that is used now, whenever somebody reads the metrics."""
    _CONNECTIONS.labels(name, "in_use").set_function(lambda: pool().size[0])
    _CONNECTIONS.labels(name, "idle").set_function(lambda: pool().size[1])
    _MAX.labels(name).set_function(lambda: pool().size[2])
    _WAITING.labels(name).set_function(lambda: pool().waiting)
