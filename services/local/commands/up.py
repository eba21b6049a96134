"""`souk up`: see `services.local.up`."""

import argparse
import asyncio

import asyncpg

from services.local import ports, topology
from services.local.commands.failures import attempt
from services.local.console import Console
from services.local.data_folder import DataFolderError
from services.local.demo.loading import LoadingFailed
from services.local.program import StartFailed
from services.local.up import Options, PortsTaken, up
from services.mesh.errors import Unavailable
from services.mesh.migrate import MigrationError
from services.mesh.settings import SettingsError

EXPECTED = (
    DataFolderError,
    LoadingFailed,
    MigrationError,
    PortsTaken,
    SettingsError,
    StartFailed,
    Unavailable,
    OSError,
    asyncpg.PostgresError,
)
"""What keeps the mesh from starting and is told in words: in a group, if tasks met it."""


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs the mesh until it is stopped; returns 1 when it could not start."""
    chosen = _options(options)
    return attempt(lambda: asyncio.run(up(options.data, chosen, console)), EXPECTED, console)


def _options(options: argparse.Namespace) -> Options:
    names = list(topology.DEFAULT_PORTS)
    chosen = ports.free(len(names)) if options.free_ports else _given(options, names)
    return Options(
        ports=dict(zip(names, chosen, strict=True)),
        external=topology.external_urls(),
        log_level=options.log_level,
        durable=not options.no_fsync,
        with_demo=not options.no_demo,
    )


def _given(options: argparse.Namespace, names: list[str]) -> list[int]:
    return [getattr(options, f"{name}_port") for name in names]
