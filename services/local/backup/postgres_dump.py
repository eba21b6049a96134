"""The services' databases, by PostgreSQL's own pg_dump and pg_restore."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from services.local.program import base_environment
from services.local.stores import postgres

_TIMEOUT_SECONDS = 1800
_LOCK_TIMEOUT_MS = 10_000


class DumpFailed(Exception):
    """pg_dump or pg_restore failed; the message is its own."""


async def dump(databases: Mapping[str, str], into: Path) -> None:
    """Dumps each database, given as URL by service, to a file of its own. Raises DumpFailed."""
    into.mkdir()
    async with asyncio.TaskGroup() as group:
        for service, url in databases.items():
            group.create_task(
                _run(
                    *("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges"),
                    f"--lock-wait-timeout={_LOCK_TIMEOUT_MS}",
                    f"--file={into / service}.dump",
                )
            )


async def restore(databases: Mapping[str, str], source: Path) -> None:
    """Fills each database, which must be empty, from its file. Raises DumpFailed."""
    async with asyncio.TaskGroup() as group:
        for service, url in databases.items():
            group.create_task(
                _run(
                    *("pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error"),
                    *("--single-transaction", str(source / f"{service}.dump")),
                )
            )


async def drop(admin_url: str, databases: Mapping[str, str]) -> None:
    """Removes the databases, given as URL by service, if they are there."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        for url in databases.values():
            name = urlsplit(url).path.removeprefix("/")
            statement = await connection.fetchval(
                "SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', $1::text)", name
            )
            await connection.execute(statement, timeout=60)
    finally:
        await connection.close()


async def _run(program: str, url: str, *arguments: str) -> None:
    # The password goes by the environment: arguments can be seen by everybody on the machine.
    parts = urlsplit(url)
    user, _, server = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    without_password = urlunsplit(parts._replace(netloc=f"{name}@{server}"))
    process = await asyncio.create_subprocess_exec(
        *(str(postgres.binary(program)), f"--dbname={without_password}", *arguments),
        env={**base_environment(), "PGPASSWORD": unquote(password)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        raise DumpFailed(f"{program}: {output.decode(errors='replace').strip()[-2000:]}")
