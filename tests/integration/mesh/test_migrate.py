"""Migrations are applied once, in order, and history is never rewritten."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.local import ports
from services.mesh import migrate
from services.mesh.errors import Unavailable
from services.mesh.migrate import MigrationError
from tests.conftest import Eventually
from tests.integration.mesh.test_running import end_of, running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Writes two migrations."""
    (tmp_path / "0001_create_pots.sql").write_text("CREATE TABLE pots (id int); SELECT 1;")
    (tmp_path / "0002_add_colour.sql").write_text("ALTER TABLE pots ADD colour text;")
    return tmp_path


async def apply(url: str, folder: Path) -> list[str]:
    """Applies the files of a service and returns the names of those that were new."""
    applied = await migrate.apply(url, migrate.read("pots", folder))
    return [str(each) for each in applied]


async def migrate_payment(url: str) -> tuple[int | None, str]:
    """Runs the payment service's `migrate`; returns its exit code and standard error."""
    environ = os.environ | {"SOUK_DATABASE_URL": url}
    async with running(environ, "migrate", module="services.payment") as process:
        return await end_of(process)


async def columns(url: str) -> list[str]:
    """Returns the columns of the table that the files make."""
    conn = await asyncpg.connect(url)
    try:
        rows = await conn.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'pots' ORDER BY ordinal_position"
        )
    finally:
        await conn.close()
    return [row["column_name"] for row in rows]


async def test_in_order_and_once(database_url: str, folder: Path) -> None:
    """Files are applied in order, and none a second time."""
    assert await apply(database_url, folder) == [
        "pots/0001_create_pots.sql",
        "pots/0002_add_colour.sql",
    ]
    assert await apply(database_url, folder) == []
    assert await columns(database_url) == ["id", "colour"]


async def test_a_database_that_is_not_there(folder: Path) -> None:
    """Who starts a migration is told why it cannot be done now, and may try again."""
    nobody = f"postgresql://souk@{ports.address(ports.free()[0])}/souk"
    with pytest.raises(Unavailable, match="the database cannot be reached"):
        await apply(nobody, folder)


async def test_a_service_tells_what_is_in_the_way(database_url: str) -> None:
    """`migrate` of a service ends with 1 and the reason, not with a traceback."""
    assert (0, "") == await migrate_payment(database_url)
    conn = await asyncpg.connect(database_url)
    await conn.execute("UPDATE schema_migrations SET checksum = '' WHERE source = 'payment'")
    await conn.close()

    code, errors = await migrate_payment(database_url)
    assert (1, "payment cannot start:") == (code, errors.splitlines()[0])
    assert "payment/0001_" in errors
    assert "Traceback" not in errors


async def test_a_service_is_kept_out(database_url: str) -> None:
    """A database that lets the account in no more, or not yet, is as one that is not there."""
    code, errors = await migrate_payment(database_url.replace("postgres:", "nobody:"))
    assert code == 1
    assert errors.startswith("payment cannot start:\n  the database cannot be reached: ")


async def test_at_the_same_time(database_url: str, folder: Path) -> None:
    """Of several runs at once, one does the work and the others wait for it."""
    runs = await asyncio.gather(*(apply(database_url, folder) for _ in range(4)))
    assert sorted(map(len, runs)) == [0, 0, 0, 2]


async def test_changed_file(database_url: str, folder: Path) -> None:
    """A file that was applied and has changed stops the run before anything is done."""
    await apply(database_url, folder)
    (folder / "0001_create_pots.sql").write_text("CREATE TABLE pots (id bigint);")
    (folder / "0003_add_size.sql").write_text("ALTER TABLE pots ADD size int;")
    with pytest.raises(MigrationError, match=r"0001_create_pots\.sql was applied and has changed"):
        await apply(database_url, folder)
    assert await columns(database_url) == ["id", "colour"]


async def test_missing_source(database_url: str, folder: Path) -> None:
    """A database with the history of somebody else is refused."""
    await apply(database_url, folder)
    with pytest.raises(
        MigrationError, match=r"pots/0001_create_pots\.sql was applied and is missing"
    ):
        await migrate.apply(database_url, migrate.read("jars", folder))


async def test_rolled_back_release(database_url: str, folder: Path) -> None:
    """A release before the newest migration accepts the newer database."""
    await apply(database_url, folder)
    (folder / "0002_add_colour.sql").unlink()
    assert await apply(database_url, folder) == []


async def test_failing_file(database_url: str, folder: Path) -> None:
    """A file that fails leaves nothing of itself, and the files before it stay."""
    (folder / "0003_break.sql").write_text("ALTER TABLE pots ADD size int; SELECT 1 / 0;")
    with pytest.raises(MigrationError, match=r"pots/0003_break\.sql: division by zero"):
        await apply(database_url, folder)
    assert await columns(database_url) == ["id", "colour"]


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twice.sql", "3_short.sql", "notes.txt"])
def test_names(folder: Path, name: str) -> None:
    """A file whose name is of another form, or leaves a gap in the numbers, is refused."""
    (folder / name).touch()
    with pytest.raises(MigrationError, match=name):
        migrate.read("pots", folder)


async def test_lock_timeout(database_url: str, folder: Path) -> None:
    """A migration that cannot have its table gives up, so that nobody waits behind it."""
    await apply(database_url, folder)
    (folder / "0003_add_size.sql").write_text("ALTER TABLE pots ADD size int;")
    conn = await asyncpg.connect(database_url)
    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE pots")
            with pytest.raises(MigrationError, match="lock timeout"):
                await migrate.apply(
                    database_url,
                    migrate.read("pots", folder),
                    lock_timeout=timedelta(milliseconds=100),
                )
    finally:
        await conn.close()


async def test_tables_of_the_mesh(database_url: str) -> None:
    """What the mesh keeps in a service's database is migrated beside the service's own."""
    folders = ("idempotency", "inbox", "outbox")
    applied = await migrate.apply(
        database_url, [m for name in folders for m in migrate.of_mesh(name)]
    )
    assert sorted({each.source for each in applied}) == list(folders)


_INDEX = """-- To find pots by it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS pots_by_colour ON pots (colour);
"""

_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pots_by_colour'::regclass"


async def test_an_index_is_built_beside_the_traffic(
    database_url: str, folder: Path, eventually: Eventually
) -> None:
    """Nobody who writes waits for it, and runs at the same time do not stop each other."""
    await apply(database_url, folder)
    (folder / "0003_index_colour.sql").write_text(_INDEX)
    one, two = [await asyncpg.connect(database_url) for _ in range(2)]
    try:

        async def waits() -> bool:
            return bool(
                await two.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrate'"
                    " AND query LIKE '%CONCURRENTLY%' AND wait_event_type = 'Lock'"
                )
            )

        async with asyncio.TaskGroup() as runs, one.transaction():
            await one.execute("INSERT INTO pots VALUES (1, 'red')")
            tasks = [runs.create_task(apply(database_url, folder)) for _ in range(3)]
            await eventually(waits)
            await two.execute("SET lock_timeout = '2s'")
            await two.execute("INSERT INTO pots VALUES (2, 'blue')")
        assert sorted(len(task.result()) for task in tasks) == [0, 0, 1]
        assert await one.fetchval(_VALID) is True
    finally:
        for conn in (one, two):
            await conn.close()


async def test_an_index_that_was_broken_off_is_built_again(database_url: str, folder: Path) -> None:
    """What PostgreSQL leaves of it is of no use and in the way."""
    await apply(database_url, folder)
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute(
            "INSERT INTO pots VALUES (1, 'red'), (2, 'red');"
            "CREATE TABLE jars (id int); CREATE INDEX jars_by_id ON jars (id)"
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await conn.execute("CREATE UNIQUE INDEX CONCURRENTLY pots_by_colour ON pots (colour)")
        assert await conn.fetchval(_VALID) is False
        (folder / "0003_index_colour.sql").write_text(_INDEX)
        assert await apply(database_url, folder) == ["pots/0003_index_colour.sql"]
        assert await conn.fetchval(_VALID) is True
    finally:
        await conn.close()
