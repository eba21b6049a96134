"""`souk secrets`: exchanges what the processes of a running mesh are told in secret."""

import argparse
import asyncio
import time

import asyncpg

from services.local import endpoints, secret_rotation
from services.local.console import Console
from services.local.data_folder import DataFolder, DataFolderError
from services.local.endpoints import NotRunning
from services.local.secret_rotation import NAMES, NotMoved


def run(options: argparse.Namespace, console: Console) -> int:
    """Rotates; returns 1 when no mesh runs or a process does not move over, 2 for a wrong name."""
    folder: DataFolder = options.data
    names: list[str] = options.names or list(NAMES)
    strangers = sorted(set(names) - set(NAMES))
    if strangers:
        console.fail(f"there is no secret {', '.join(strangers)}; there are {', '.join(NAMES)}")
        return 2
    try:
        folder.check()
        asyncio.run(_rotate(folder, names, console))
    except (
        *(DataFolderError, NotRunning, NotMoved),
        *(OSError, ValueError, asyncpg.PostgresError),
    ) as error:
        console.fail(str(error))
        return 1
    return 0


async def _rotate(folder: DataFolder, names: list[str], console: Console) -> None:
    where = endpoints.load(folder)
    for name in names:
        began = time.monotonic()
        await secret_rotation.rotate(folder, where, name)
        console.done(name, time.monotonic() - began)
