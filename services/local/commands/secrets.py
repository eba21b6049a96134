"""`souk secrets`: exchanges what the processes of a running mesh are told in secret."""

import argparse
import asyncio
import time

import asyncpg

from services.local import endpoints, secret_rotation
from services.local.commands.failures import attempt
from services.local.console import Console
from services.local.data_folder import DataFolder, DataFolderError
from services.local.endpoints import Endpoints, NotRunning
from services.local.file_lock import Busy
from services.local.secret_rotation import NAMES, NotMoved

_EXPECTED = (
    *(DataFolderError, NotRunning, Busy, NotMoved),
    *(OSError, ValueError, asyncpg.PostgresError),
)


def run(options: argparse.Namespace, console: Console) -> int:
    """Rotates; returns 1 when that can't be done or a process does not move, 2 for a wrong name."""
    folder: DataFolder = options.data
    names: list[str] = options.names or list(NAMES)
    strangers = sorted(set(names) - set(NAMES))
    if strangers:
        console.fail(f"there is no secret {', '.join(strangers)}; there are {', '.join(NAMES)}")
        return 2

    def rotate() -> None:
        folder.check()
        where = endpoints.load(folder)
        with secret_rotation.locked(folder):
            asyncio.run(_rotate(folder, where, names, console))

    return attempt(rotate, _EXPECTED, console)


async def _rotate(folder: DataFolder, where: Endpoints, names: list[str], console: Console) -> None:
    """Rotates them side by side: they have nothing in common but the waiting."""

    async def rotate(name: str) -> None:
        began = time.monotonic()
        await secret_rotation.rotate(folder, where, name)
        console.done(name, time.monotonic() - began)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(rotate(name))
