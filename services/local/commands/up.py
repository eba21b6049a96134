"""`souk up`: see `services.local.up`."""

import argparse
import asyncio

import asyncpg

from services.local import ports, topology
from services.local.commands.failures import leaves
from services.local.console import Console
from services.local.data_folder import DataFolderError
from services.local.demo.loading import LoadingFailed
from services.local.program import StartFailed
from services.local.up import Options, PortsTaken, up

_EXPECTED = (
    DataFolderError,
    LoadingFailed,
    PortsTaken,
    StartFailed,
    OSError,
    asyncpg.PostgresError,
)


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs the mesh until it is stopped; returns 1 when it could not start."""
    failures: list[BaseException] = []
    try:
        asyncio.run(up(options.data, _options(options), console))
    except* _EXPECTED as group:
        failures = leaves(group)
    for failure in failures:
        console.fail(str(failure))
    return 1 if failures else 0


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
