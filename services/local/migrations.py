"""Brings every service's database up to date, inside the supervisor.

A process of its own for each, as in a cluster, would spend nearly all its time on imports: here
they are shared, and `load` can do them while the stores still start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

from services.local import topology
from services.mesh import logs, settings
from services.mesh.run import Process
from services.mesh.settings import MeshSettings

_TIMEOUT_SECONDS = 60


async def load() -> dict[str, Process[MeshSettings]]:
    """Imports the services that have a database; returns their processes by name."""
    return {
        name: (await asyncio.to_thread(import_module, f"services.{name}.app")).PROCESS
        for name in topology.services_with("postgres")
    }


async def run(
    processes: Mapping[str, Process[MeshSettings]], environments: Mapping[str, Mapping[str, str]]
) -> None:
    """Migrates all databases at once; they have nothing in common.

    Raises SettingsError or TimeoutError, or what a migration raises, in an ExceptionGroup.
    """
    logs.configure("migrations", MeshSettings(log_format="console", log_level="warning"))
    async with asyncio.timeout(_TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        for name, process in processes.items():
            if process.migrate is not None:
                values = settings.load(process.settings, environments[name])
                group.create_task(_run(process.migrate, values), name=f"migrate {name}")


async def _run(migrate: Callable[[MeshSettings], Awaitable[None]], values: MeshSettings) -> None:
    await migrate(values)
