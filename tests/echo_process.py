"""The echo contract as a process: `python -m tests.echo_process [serve|migrate]`.

SOUK_WORKER says what its worker does: "wait", "fail" or "return".
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from services.mesh import run
from services.mesh.app import App, Mesh
from services.mesh.errors import Unavailable
from services.mesh.settings import MeshSettings, Secret
from tests import echo, echo_server
from tests.echo_server import EchoServicer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """One setting that is required, what the worker does, and what the process lacks."""

    password: Secret
    lacks: Literal["nothing", "a store"] = "nothing"
    worker: Literal["wait", "fail", "return"] = "wait"


@asynccontextmanager
async def build(settings: Settings, _mesh: Mesh) -> AsyncIterator[App]:
    """Yield the echo service, and tell when it is closed."""

    async def work() -> None:
        try:
            if settings.worker == "fail":
                raise RuntimeError("broken worker")
            if settings.worker == "wait":
                await asyncio.Event().wait()
        finally:
            sys.stderr.write("worker ended\n")

    if settings.lacks == "a store":
        raise Unavailable("the store cannot be reached")
    try:
        yield App(servicers={echo.SERVICE: EchoServicer()}, workers=[work], keys=echo_server.keys)
    finally:
        sys.stderr.write("closed\n")


async def migrate(_settings: MeshSettings) -> None:
    """Tell that it ran."""
    sys.stderr.write("migrated\n")
    await asyncio.sleep(0)


PROCESS = run.Process(
    name="echo",
    settings=Settings,
    build=build,
    migrate=migrate,
    migration_settings=MeshSettings,
)

if __name__ == "__main__":
    run.main(PROCESS)
