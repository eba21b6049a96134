"""`souk restore`: makes the stores what a backup says. The mesh must not be running."""

import asyncio
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from services.local import databases, topology
from services.local.backup import archive, mongo_dump, postgres_dump, redis_dump
from services.local.backup.take import CREDENTIALS, LEDGER
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from services.local.supervisor import Supervisor
from services.local.up import Options, start_stores


def holds_data(folder: DataFolder, options: Options) -> bool:
    """Says whether a restore would replace anything."""
    return bool(options.external) or folder.store("postgres").exists()


async def restore(folder: DataFolder, source: Path, options: Options, console: Console) -> datetime:
    """Replaces what the stores hold; returns when the backup was taken.

    What the provider's stand-in remembers is kept if there is any: a provider forgets nothing
    because a shop did, and reconciliation tells what is missing.
    Raises BadArchive before anything is touched; DataFolderError, DumpFailed, the drivers' errors
    and OSError.
    """
    folder.check()
    folder.create()
    with folder.locked() as lock, tempfile.TemporaryDirectory(dir=folder.path) as staging:
        content = Path(staging)
        taken_at = await asyncio.to_thread(archive.unpack, source, content)
        await asyncio.to_thread(_replace_files, folder, content)
        async with Supervisor(console, pass_fds=(lock,)) as supervisor:
            where = await start_stores(folder, options, supervisor)
            await _fill(folder, where, content)
    return taken_at


def _replace_files(folder: DataFolder, content: Path) -> None:
    for store in ("postgres", "redis", "mongo"):
        shutil.rmtree(folder.store(store), ignore_errors=True)
    shutil.copy2(content / "folder" / CREDENTIALS, folder.path / CREDENTIALS)
    keys = folder.signing_keys
    shutil.rmtree(keys, ignore_errors=True)
    shutil.copytree(content / "folder" / keys.name, keys)
    ledger = folder.store("sandbox") / LEDGER
    if (content / "sandbox" / LEDGER).exists() and not ledger.exists():
        ledger.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(content / "sandbox" / LEDGER, ledger)


async def _fill(folder: DataFolder, where: Endpoints, content: Path) -> None:
    names = topology.services_with("postgres")
    await postgres_dump.drop(where.postgres, databases.urls(where.postgres, folder, names))
    urls = await databases.provision(where.postgres, folder, names)
    async with asyncio.TaskGroup() as group:
        group.create_task(postgres_dump.restore(urls, content / "postgres"))
        group.create_task(mongo_dump.restore(where.mongo, content / "mongo"))
        group.create_task(redis_dump.restore(where.redis, content / "redis"))
