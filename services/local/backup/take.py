"""`souk backup`: writes one file of all stores, whether the mesh is running or not."""

import asyncio
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from services.local import databases, endpoints, topology
from services.local.backup import archive, freeze, mongo_dump, postgres_dump, redis_dump
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints, NotRunning
from services.local.supervisor import Supervisor
from services.local.up import Options, start_stores

CREDENTIALS = "credentials.json"
LEDGER = "ledger.sqlite3"

_WRITERS = ("services.sandbox", *(f"services.{each.name}" for each in topology.SERVICES))


async def take(folder: DataFolder, target: Path, options: Options, console: Console) -> None:
    """Writes the backup to `target`; a running mesh stands still for as long as that takes.

    Raises DataFolderError, CannotFreeze, DumpFailed, the drivers' errors, OSError.
    """
    folder.check()
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as staging:
        content = Path(staging)
        try:
            where = endpoints.load(folder)
        except NotRunning:
            with folder.locked() as lock:
                async with Supervisor(console, pass_fds=(lock,)) as supervisor:
                    where = await start_stores(folder, options, supervisor)
                    await _read(folder, where, content)
        else:
            pids = await freeze.writers(where.supervisor, _WRITERS)
            began = time.monotonic()
            async with freeze.frozen(pids):
                await _read(folder, where, content)
            console.done("stood still", time.monotonic() - began)
        archive.pack(content, target)


async def _read(folder: DataFolder, where: Endpoints, content: Path) -> None:
    names = topology.services_with("postgres")
    async with asyncio.TaskGroup() as group:
        urls = databases.urls(where.postgres, folder, names)
        group.create_task(postgres_dump.dump(urls, content / "postgres"))
        group.create_task(mongo_dump.dump(where.mongo, content / "mongo"))
        group.create_task(redis_dump.dump(where.redis, content / "redis"))
        group.create_task(asyncio.to_thread(_copy_files, folder, content))


def _copy_files(folder: DataFolder, content: Path) -> None:
    ledger = folder.store("sandbox") / LEDGER
    if ledger.exists():
        (content / "sandbox").mkdir()
        with (
            closing(sqlite3.connect(ledger)) as source,
            closing(sqlite3.connect(content / "sandbox" / LEDGER)) as copy,
        ):
            source.backup(copy)
    kept = content / "folder"
    kept.mkdir()
    shutil.copy2(folder.path / CREDENTIALS, kept / CREDENTIALS)
    shutil.copytree(folder.signing_keys, kept / folder.signing_keys.name)
