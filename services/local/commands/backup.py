"""`souk backup`: see `services.local.backup`."""

import argparse
import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from services.local import ports, topology
from services.local.backup.archive import BadArchive
from services.local.backup.freeze import CannotFreeze
from services.local.backup.postgres_dump import DumpFailed
from services.local.backup.take import take
from services.local.commands.failures import attempt
from services.local.console import Console
from services.local.data_folder import DataFolderError
from services.local.program import StartFailed
from services.local.up import Options

EXPECTED = (
    BadArchive,
    CannotFreeze,
    DataFolderError,
    DumpFailed,
    StartFailed,
    OSError,
    PyMongoError,
    RedisError,
    asyncpg.PostgresError,
)


def run(options: argparse.Namespace, console: Console) -> int:
    """Takes a backup; returns 1 when that failed."""
    target: Path = options.file or Path(f"souk-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    if target.exists():
        console.fail(f"{target} is there already: name another file")
        return 1
    began = time.monotonic()
    taking = take(options.data, target.absolute(), store_options(), console)
    code = attempt(lambda: asyncio.run(taking), EXPECTED, console)
    if code:
        return code
    size = target.stat().st_size / 1e6
    console.line(f"{target}: {size:.1f} MB in {time.monotonic() - began:.1f} s. It holds secrets.")
    return 0


def store_options() -> Options:
    """Returns options with which the stores start on free ports."""
    names = list(topology.DEFAULT_PORTS)
    return Options(
        ports=dict(zip(names, ports.free(len(names)), strict=True)),
        external=topology.external_urls(),
        log_level="warning",
        durable=True,
        with_demo=False,
    )
