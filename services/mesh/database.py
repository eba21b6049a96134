"""A pool of PostgreSQL connections with every wait bounded, and the one mapping of its failures.

    async with database.pool(url) as db:
        async with db.transaction() as conn:
            await conn.execute("UPDATE orders SET ...")

| what fails in the block                  | becomes                                        |
|------------------------------------------|------------------------------------------------|
| no connection, or it was lost            | Unavailable                                    |
| it was lost while committing             | OutcomeUnknown, an Unavailable                 |
| a statement took too long                | DeadlineExceeded                               |
| a lock took too long, deadlock, conflict | Aborted, with `retry_after`                    |
| a constraint                             | as it is: the store knows it by its name       |

A block that was cancelled may have committed all the same, as may one that ended in OutcomeUnknown.
Whoever must know reads again, by a key that was part of what was written: an order id made before
the transaction, or an idempotency key.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import structlog

from services.mesh.errors import Aborted, DeadlineExceeded, DomainError, Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

_log = structlog.get_logger(__name__)

_RETRY_AFTER = timedelta(milliseconds=200)
_CLOSE_SECONDS = 5

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.ReadOnlySQLTransactionError,
    # The server said farewell to a connection that nobody used, and its end has not come yet.
    asyncpg.InternalClientError,
    OSError,  # includes TimeoutError and ConnectionError
)
_ASYNCPG = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_CONFLICT = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


class OutcomeUnknown(Unavailable):
    """The connection was lost while committing: what was written may stand, or not."""


class Database:
    """A service's own database. Made by `pool`."""

    def __init__(
        self, connections: "asyncpg.Pool[asyncpg.Record]", *, acquire_timeout: timedelta
    ) -> None:
        self._pool = connections
        self._acquire_seconds = acquire_timeout.total_seconds()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lends a connection; each statement is a transaction of its own."""
        try:
            conn = await self._pool.acquire(timeout=self._acquire_seconds)
        except (*_ASYNCPG, OSError) as error:
            raise _unavailable(error) from error
        try:
            yield conn
        except (*_ASYNCPG, OSError) as error:
            if isinstance(error, asyncpg.InternalClientError):
                _terminate(conn)
            mapped = _domain_error(error, conn)
            if mapped is None:
                raise
            raise mapped from error
        finally:
            await self._give_back(conn)

    async def _give_back(self, conn: "PoolConnectionProxy[asyncpg.Record]") -> None:
        if is_lost(conn):
            # Else the pool warns of listeners that nobody could remove any more.
            _terminate(conn)
        # If it is lost now, what was done with it stays done, and the pool lets go of it.
        with suppress(*_ASYNCPG, OSError):
            await self._pool.release(conn, timeout=_CLOSE_SECONDS)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lends a connection in a transaction (read committed) that the block's end commits.

        It is rolled back when the block raises.
        """
        async with self.connection() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield conn
            except BaseException:
                if not is_lost(conn):
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except (*_LOST, asyncpg.InterfaceError) as error:
                raise OutcomeUnknown("the database was lost while it stored the result") from error

    async def ready(self) -> None:
        """Passes when the database answers; raises Unavailable when it does not."""
        async with self.connection() as conn:
            await conn.execute("SELECT 1")


def _terminate(conn: "PoolConnectionProxy[asyncpg.Record]") -> None:
    with suppress(asyncpg.InterfaceError):
        conn.terminate()


def is_lost(conn: Connection) -> bool:
    """Tells whether the connection can no longer be used."""
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken back a connection that the server ended.
        return True


@asynccontextmanager
async def pool(
    url: str,
    *,
    min_size: int = 0,
    max_size: int = 10,
    acquire_timeout: timedelta = timedelta(seconds=2),
    statement_timeout: timedelta = timedelta(seconds=5),
    lock_timeout: timedelta = timedelta(seconds=2),
    name: str = "souk",
) -> AsyncIterator[Database]:
    """Opens a pool on `url` (`postgresql://user@host/database`) and closes it at the end.

    With `min_size` 0 it connects when first used, so a service can start before its database; it
    is then not ready. `name` is the `application_name` that `pg_stat_activity` shows.
    """
    settings = {
        "application_name": name,
        "timezone": "UTC",
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(statement_timeout * 2),
        # Our statements are short; compiling them costs more than it saves.
        "jit": "off",
    }
    connections = await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        timeout=acquire_timeout.total_seconds(),
        # For a server that does not answer at all: it gets a second more than it asked for.
        command_timeout=statement_timeout.total_seconds() + 1,
        server_settings=settings,
    )
    try:
        yield Database(connections, acquire_timeout=acquire_timeout)
    finally:
        await _close(connections)


async def _close(connections: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connections.close()
    except TimeoutError:
        _log.warning("database connections still in use at the end")
        connections.terminate()


def _domain_error(error: Exception, conn: Connection) -> DomainError | None:
    """Returns what the failure means to a caller; None leaves it as it is."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return DeadlineExceeded("the database took too long")
    if isinstance(error, _CONFLICT):
        return Aborted("another call was working on the same data", retry_after=_RETRY_AFTER)
    # An InterfaceError on an open connection is a mistake of ours.
    if isinstance(error, _LOST) or is_lost(conn):
        return _unavailable(error)
    return None


def _unavailable(error: Exception) -> Unavailable:
    _log.warning("database unavailable", error=f"{type(error).__name__}: {error}")
    return Unavailable("the database cannot be reached", retry_after=_RETRY_AFTER)


def _milliseconds(span: timedelta) -> str:
    return str(int(span.total_seconds() * 1000))
