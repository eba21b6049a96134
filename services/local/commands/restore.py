"""`souk restore`: see `services.local.backup`."""

import argparse
import asyncio
import sys
from pathlib import Path

from services.local.backup.restore import holds_data, restore
from services.local.commands.backup import EXPECTED, store_options
from services.local.commands.failures import attempt
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.up import Options


def run(options: argparse.Namespace, console: Console) -> int:
    """Restores a backup; returns 1 when that failed or was not confirmed."""
    settings = store_options()
    folder: DataFolder = options.data
    if holds_data(folder, settings) and not options.yes and not _is_confirmed(folder, settings):
        console.fail("not confirmed, nothing was changed; --yes does not ask")
        return 1
    restoring = _restore(folder, options.file, settings, console)
    return attempt(lambda: asyncio.run(restoring), EXPECTED, console)


async def _restore(folder: DataFolder, source: Path, settings: Options, console: Console) -> None:
    taken_at = await restore(folder, source, settings, console)
    console.line(f"Restored what was at {taken_at:%Y-%m-%d %H:%M:%S} UTC. Go on with `souk up`.")


def _is_confirmed(folder: DataFolder, settings: Options) -> bool:
    if not sys.stdin.isatty():
        return False
    stores = ", ".join([str(folder.path), *(f"the {name} elsewhere" for name in settings.external)])
    answer = input(f"Replace all orders, accounts and keys in {stores}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
