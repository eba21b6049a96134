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

When the URL comes from a file and changes, new work goes to a new pool, and the former one is
closed once what was begun on it has ended (`rotation`). A connection that is held for good, to
listen, is then lost like any other, and its holder comes back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import structlog

from services.mesh import background, database_pool, rotation
from services.mesh.database_pool import FAILURES, Pool
from services.mesh.errors import Aborted, DeadlineExceeded, DomainError, Unavailable
from services.mesh.settings import Secret

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

_log = structlog.get_logger(__name__)

_RETRY_AFTER = timedelta(milliseconds=200)

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
_CONFLICT = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


class OutcomeUnknown(Unavailable):
    """The connection was lost while committing: what was written may stand, or not."""


class Database:
    """A service's own database. Made by `pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @property
    def pool(self) -> Pool:
        """Where new work goes."""
        return self._pool

    def exchange(self, pool: Pool) -> Pool:
        """Let new work go to another pool; returns the former one, which the caller retires."""
        former, self._pool = self._pool, pool
        return former

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lends a connection; each statement is a transaction of its own."""
        pool = self._pool
        with pool.used():
            try:
                conn = await pool.acquire()
            except FAILURES as error:
                raise _unavailable(error) from error
            try:
                yield conn
            except FAILURES as error:
                if isinstance(error, asyncpg.InternalClientError):
                    _terminate(conn)
                mapped = _domain_error(error, conn, is_retired=pool.is_retired)
                if mapped is None:
                    raise
                raise mapped from error
            finally:
                await _give_back(pool, conn)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lends a connection in a transaction (read committed) that the block's end commits.

        It is rolled back when the block raises.
        """
        failure: BaseException | None = None
        is_committing = False
        async with self.connection() as conn:
            try:
                async with conn.transaction():
                    try:
                        yield conn
                    except BaseException as error:
                        failure = error
                        raise
                    is_committing = True
            except FAILURES as error:
                if failure not in (None, error):
                    # Whatever became of the rollback: a connection that is lost has done it too.
                    raise failure from failure.__cause__
                if is_committing and isinstance(error, (*_LOST, asyncpg.InterfaceError)):
                    message = "the database was lost while it stored the result"
                    raise OutcomeUnknown(message) from error
                raise
            finally:
                # Its traceback leads here: as a cycle it would stay until the garbage is collected.
                failure = None

    async def ready(self) -> None:
        """Passes when the database answers; raises Unavailable when it does not."""
        async with self.connection() as conn:
            await conn.execute("SELECT 1")


async def _give_back(pool: Pool, conn: "PoolConnectionProxy[asyncpg.Record]") -> None:
    if is_lost(conn):
        # Else the pool warns of listeners that nobody could remove any more.
        _terminate(conn)
    # If it is lost now, what was done with it stays done, and the pool lets go of it.
    with suppress(*FAILURES):
        await pool.release(conn)


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
    url: Secret | str,
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

    async def opened(text: str) -> Pool:
        return await database_pool.opened(
            text,
            sizes=(min_size, max_size),
            acquire_seconds=acquire_timeout.total_seconds(),
            # For a server that does not answer at all: it gets a second more than it asked for.
            command_seconds=statement_timeout.total_seconds() + 1,
            settings=settings,
        )

    db = Database(await opened(url if isinstance(url, str) else url.reveal()))
    database_pool.measure(name, lambda: db.pool)
    async with background.Tasks() as retiring:

        async def exchange(text: str) -> None:
            fresh = await opened(text)
            try:
                await fresh.ready()
            except BaseException:
                await fresh.close()
                raise
            retiring.add(db.exchange(fresh).retire(rotation.DRAIN_SECONDS), name="retired client")

        try:
            async with rotation.following(url, exchange, name="postgresql"):
                yield db
        finally:
            await db.pool.close()


def _domain_error(error: Exception, conn: Connection, *, is_retired: bool) -> DomainError | None:
    """Returns what the failure means to a caller; None leaves it as it is."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return DeadlineExceeded("the database took too long")
    if isinstance(error, _CONFLICT):
        return Aborted("another call was working on the same data", retry_after=_RETRY_AFTER)
    # An InterfaceError on an open connection is a mistake of ours.
    if isinstance(error, _LOST) or is_lost(conn):
        return _unavailable(error, is_retired=is_retired)
    return None


def _unavailable(error: Exception, *, is_retired: bool = False) -> Unavailable:
    # Who still has a connection of former credentials loses it by plan.
    if not is_retired:
        _log.warning("database unavailable", error=f"{type(error).__name__}: {error}")
    return Unavailable("the database cannot be reached", retry_after=_RETRY_AFTER)


def _milliseconds(span: timedelta) -> str:
    return str(int(span.total_seconds() * 1000))
