"""Forward-only migrations: SQL files applied in order, each in its own transaction.

A file that is `CREATE INDEX CONCURRENTLY IF NOT EXISTS …` alone is applied in none: it builds its
index beside the traffic, and what it leaves when it is broken off is removed when it is run again.

    file := NNNN_name.sql, numbered from 0001 without gaps

    services/order/migrations/             what the service keeps
    services/mesh/migrations/outbox/       what the mesh keeps in the service's database

    await migrate.run(url, package="services.order", mesh=("outbox", "idempotency"))

Applied files are recorded with their checksum in `schema_migrations`. When an applied file has
changed or vanished, nothing is done. A database that is ahead of the files is accepted: a release
that was rolled back must start, and old code runs on the newer schema, because a migration only
adds, or drops what nothing has used since the release before.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg
import structlog

from services.mesh import backoff
from services.mesh.database_pool import FAILURES
from services.mesh.errors import FailedPrecondition, Unavailable
from services.mesh.settings import MeshSettings, Secret

_log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_CONCURRENTLY = re.compile(
    r"(--.*\n|\s)*CREATE (UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (?P<name>\w+)\s[^;]*;\s*"
)
_ADVISORY_LOCK = "schema_migrations"

_LOCK = "SELECT pg_try_advisory_lock(hashtext($1))"

_IS_INVALID = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"

_RECORD = """
    INSERT INTO schema_migrations (source, version, name, checksum) VALUES ($1, $2, $3, $4)
"""

_CREATE_HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        source     text        NOT NULL,
        version    integer     NOT NULL,
        name       text        NOT NULL,
        checksum   bytea       NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (source, version)
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSettings(MeshSettings):
    """All that migrations are told. `database_url`: the database, as whoever may change its schema.

    They run with rights that the service does not have, and without the service's other secrets.
    """

    database_url: Secret


class MigrationError(FailedPrecondition):
    """The schema cannot be brought up to date; the message says which file is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: `source` is the folder that brings it, `version` its number."""

    source: str
    version: int
    name: str
    sql: str

    @property
    def concurrent_index(self) -> str | None:
        """The index that it builds beside the traffic, in no transaction; None if it does not."""
        found = _CONCURRENTLY.fullmatch(self.sql)
        return found and found["name"]

    @property
    def checksum(self) -> bytes:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.sql.encode()).digest()

    def __str__(self) -> str:
        return f"{self.source}/{self.name}"


async def run(url: str, *, package: str, mesh: Sequence[str] = ()) -> list[Migration]:
    """Brings the database at `url` to the schema of `package` and returns what was applied.

    `mesh` names the folders of `services/mesh/migrations` that the service uses; they come first.
    Runs at the same time wait for each other. Raises MigrationError when files and history do not
    agree or when a file fails; the files before it stay applied.
    """
    files = [each for name in mesh for each in of_mesh(name)]
    files += read(package.rpartition(".")[2], resources.files(package) / "migrations")
    return await apply(url, files)


def of_mesh(name: str) -> list[Migration]:
    """Returns the migrations of what the mesh calls `name`, like "outbox"."""
    return read(name, resources.files("services.mesh") / "migrations" / name)


def read(source: str, folder: Traversable) -> list[Migration]:
    """Returns the migrations in `folder`, in order.

    Raises MigrationError for a name of another form, and for a gap in the numbers.
    """
    found = []
    for version, file in enumerate(sorted(folder.iterdir(), key=lambda each: each.name), start=1):
        form = _NAME.fullmatch(file.name)
        if form is None or int(form[1]) != version:
            raise MigrationError(f"{source}/{file.name} is not {version:04}_name.sql")
        sql = file.read_text(encoding="utf-8")
        found.append(Migration(source=source, version=version, name=file.name, sql=sql))
    return found


async def apply(
    url: str,
    files: Sequence[Migration],
    *,
    lock_timeout: timedelta = timedelta(seconds=5),
    statement_timeout: timedelta = timedelta(minutes=5),
) -> list[Migration]:
    """Applies those of `files` that the database at `url` does not have yet, as `run` does.

    A migration that waits for a table lock stops everybody who comes after it, so it gives up after
    `lock_timeout`.
    """
    async with _locked(url, statement_timeout) as conn:
        await conn.execute(_CREATE_HISTORY)
        applied = await _history(conn)
        _must_agree(files, applied)
        await conn.execute(f"SET lock_timeout = {int(lock_timeout.total_seconds() * 1000)}")
        pending = [each for each in files if (each.source, each.version) not in applied]
        for migration in pending:
            await _apply(conn, migration)
    return pending


@asynccontextmanager
async def _locked(
    url: str, statement_timeout: timedelta
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connects and holds the advisory lock; waiting for it is bounded by `statement_timeout`."""
    milliseconds = str(int(statement_timeout.total_seconds() * 1000))
    try:
        conn = await asyncpg.connect(
            url,
            timeout=10,
            server_settings={"application_name": "migrate", "statement_timeout": milliseconds},
        )
    except FAILURES as error:
        raise Unavailable(f"the database cannot be reached: {str(error) or 'no answer'}") from error
    try:
        await _take_turn(conn, statement_timeout)
        yield conn
    finally:
        # The server gives the lock back with the connection.
        await conn.close(timeout=5)


async def _take_turn(conn: "asyncpg.Connection[asyncpg.Record]", longest: timedelta) -> None:
    """Returns with the lock. Raises MigrationError if another run has it for too long.

    It is asked for again and again: a statement that waits for it is a transaction, and an index
    that is built concurrently waits for all transactions.
    """
    try:
        async with asyncio.timeout(longest.total_seconds()):
            for pause in backoff.delays():
                if await conn.fetchval(_LOCK, _ADVISORY_LOCK):
                    return
                await asyncio.sleep(pause)
    except TimeoutError as error:
        raise MigrationError("another run goes on for too long") from error


async def _history(
    conn: "asyncpg.Connection[asyncpg.Record]",
) -> dict[tuple[str, int], asyncpg.Record]:
    rows = await conn.fetch("SELECT source, version, name, checksum FROM schema_migrations")
    return {(row["source"], row["version"]): row for row in rows}


def _must_agree(files: Sequence[Migration], applied: dict[tuple[str, int], asyncpg.Record]) -> None:
    known = {(each.source, each.version): each for each in files}
    faults = [
        fault
        for (source, version), row in sorted(applied.items())
        if (fault := _fault(row, known.get((source, version)), known))
    ]
    if faults:
        raise MigrationError("\n".join(faults))


def _fault(
    row: asyncpg.Record, file: Migration | None, known: Collection[tuple[str, int]]
) -> str | None:
    """Says what is wrong with an applied migration, None if nothing is."""
    name = f"{row['source']}/{row['name']}"
    if file is not None:
        same = file.checksum == row["checksum"] and file.name == row["name"]
        return None if same else f"{name} was applied and has changed since; add a new file instead"
    newest = max((version for source, version in known if source == row["source"]), default=0)
    if row["version"] > newest > 0:
        _log.warning("the database is ahead of this release", migration=name)
        return None
    return f"{name} was applied and is missing"


async def _apply(conn: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    started = time.perf_counter()
    try:
        if index := migration.concurrent_index:
            if await conn.fetchval(_IS_INVALID, index):
                await conn.execute(f"DROP INDEX CONCURRENTLY {index}")
            await conn.execute(migration.sql)
            await _record(conn, migration)
        else:
            async with conn.transaction():
                await conn.execute(migration.sql)
                await _record(conn, migration)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration}: {error}") from error
    milliseconds = round((time.perf_counter() - started) * 1000)
    _log.info("migration applied", migration=str(migration), milliseconds=milliseconds)


async def _record(conn: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    await conn.execute(
        _RECORD, migration.source, migration.version, migration.name, migration.checksum
    )
