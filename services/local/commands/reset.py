"""`souk reset`: forgets everything in the data folder."""

import argparse
import shutil
import sys

from services.local.console import Console
from services.local.data_folder import DataFolder, DataFolderError


def run(options: argparse.Namespace, console: Console) -> int:
    """Removes the data folder; returns 1 when it is in use, not ours, or not confirmed."""
    folder: DataFolder = options.data
    try:
        folder.check_ours()
        if not folder.path.exists():
            console.line(f"{folder.path} is not there: nothing to forget.")
            return 0
        with folder.locked():
            if not options.yes and not _is_confirmed(folder):
                console.fail("not confirmed, nothing was removed; --yes does not ask")
                return 1
            shutil.rmtree(folder.path)
    except (DataFolderError, OSError) as error:
        console.fail(str(error))
        return 1
    console.line(f"Removed {folder.path}.")
    return 0


def _is_confirmed(folder: DataFolder) -> bool:
    if not sys.stdin.isatty():
        return False
    answer = input(f"Remove {folder.path} with all orders, accounts and keys? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
