"""A MongoDB-wire server on SQLite, from the `nx-27017` wheel."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from services.local import ports
from services.local.program import Program
from services.local.program import running as program_running


def url(port: int) -> str:
    """Returns the URL that MongoDB clients take."""
    return f"mongodb://{ports.LOOPBACK}:{port}/"


def program(folder: Path, port: int) -> Program:
    """Describes a server on `port` that keeps one SQLite file per database in `folder`."""
    pid_file = folder / "server.pid"

    async def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # After a crash the file stays, and the server would refuse to start if that process id
        # now belongs to anything else. Who calls holds the folder, so the file can only be stale.
        pid_file.unlink(missing_ok=True)

    return Program(
        name="mongo",
        argv=(
            *(sys.executable, "-c", "from nx_27017.nx_27017 import main; main()"),
            *("--host", ports.LOOPBACK, "--port", str(port), "--data-dir", str(folder)),
            *("--pid-file", str(pid_file), "--log-file", "/dev/null"),
        ),
        prepare=prepare,
        check=lambda: _connect(port),
        log=folder / "server.log",
        parent_death_signal=signal.SIGTERM,
    )


@contextlib.asynccontextmanager
async def running(folder: Path, *, port: int | None = None) -> AsyncIterator[str]:
    """Runs the server in `folder`, on a free port unless given one; yields its URL."""
    port = port or ports.free()[0]
    async with program_running(program(folder, port)):
        yield url(port)


async def _connect(port: int) -> None:
    """Connects: the server listens only once it can serve."""
    async with asyncio.timeout(1):
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
        writer.close()
