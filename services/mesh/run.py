"""The one way to start a process of the mesh.

    # services/order/__main__.py
    run.main(app.PROCESS)

    python -m services.order [serve|migrate]

It exits with 0 after a drain, 1 when it could not go on, 2 when the command, the settings or the
contract are wrong. SIGTERM and SIGINT begin the drain; a second one ends the process at once.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar, cast

import structlog

from services.mesh import clients, event_loop, failpoints, logs, server, settings, traces
from services.mesh.address import CannotListen
from services.mesh.app import App, Check, KeySource, Mesh, Worker
from services.mesh.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from services.mesh.policy import ContractError
from services.mesh.settings import MeshSettings, SettingsError

__all__ = [
    "App",
    "Check",
    "KeySource",
    "Mesh",
    "Process",
    "Worker",
    "main",
    "serving",
]

S = TypeVar("S", bound=MeshSettings)

CANCELLATIONS = 10
CANCELLATION_SECONDS = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process(Generic[S]):
    """A service as a process.

    `name` is its identity in the mesh. `settings` is the dataclass read from the environment.
    `build` opens what the service needs, yields the app, and closes it again after the drain.
    `migrate` brings the service's store to the present schema; None if it has none. It is told the
    `migration_settings`, where they are less than all.
    """

    name: str
    settings: type[S]
    build: Callable[[S, Mesh], AbstractAsyncContextManager[App]]
    migrate: Callable[[S], Awaitable[None]] | None = None
    migration_settings: type[MeshSettings] | None = None


def main(process: Process[S], argv: Sequence[str] | None = None) -> NoReturn:
    """Run the process as the command line says and exit."""
    command = _command(process, argv)
    try:
        values = settings.load(_settings(process, command))
        failpoints.arm(os.environ, listen=values.listen)
        logs.configure(process.name, values)
        with traces.recording(process.name, values):
            does = _serve if command == "serve" else _migrate
            code = event_loop.run(does(process, values))
    except (SettingsError, ContractError) as error:
        _refuse(process, error.faults, exit_code=2)
    except (CannotListen, DeadlineExceeded, FailedPrecondition, Unavailable) as error:
        # What it needs is not there yet, or not as it must be: a traceback would tell nothing more.
        _refuse(process, [str(error)], exit_code=1)
    event_loop.leave(code)


def _command(process: Process[S], argv: Sequence[str] | None) -> str:
    commands = ["serve"] if process.migrate is None else ["serve", "migrate"]
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{process.name}",
        description=f"The {process.name} service. Its settings are read from SOUK_* variables.",
    )
    parser.add_argument("command", nargs="?", choices=commands, default="serve")
    return str(parser.parse_args(argv).command)


def _settings(process: Process[S], command: str) -> type[S]:
    if command == "migrate" and process.migration_settings is not None:
        return cast("type[S]", process.migration_settings)
    return process.settings


def _refuse(process: Process[S], faults: Sequence[str], *, exit_code: int) -> NoReturn:
    lines = "".join(f"  {line}\n" for fault in faults for line in fault.splitlines())
    sys.stderr.write(f"{process.name} cannot start:\n{lines}")
    sys.exit(exit_code)


async def _migrate(process: Process[S], values: S) -> int:
    if process.migrate is not None:
        await process.migrate(values)
    return 0


async def _serve(process: Process[S], values: S) -> int:
    stop = asyncio.create_task(event_loop.stop_signal(), name="stop signal")
    async with serving(process, values) as workers:
        event_loop.settle()
        done, _ = await asyncio.wait([stop, *workers], return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in workers if task in done]
        for task in ended:
            _log.error("worker ended", worker=task.get_name(), exc_info=task.exception())
    stop.cancel()
    return 1 if ended else 0


@asynccontextmanager
async def serving(process: Process[S], values: S) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Serve the process on the running loop until the block is left, then drain.

    Yields its workers' tasks; none of them is to end before. Raises ContractError, SettingsError or
    CannotListen.
    """
    async with (
        clients.open_mesh(process.name, values) as mesh,
        process.build(values, mesh) as app,
        _working(app.workers) as workers,
        server.serving(app, mesh),
    ):
        yield workers


@asynccontextmanager
async def _working(workers: Sequence[Worker]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run the workers until the block is left, then cancel them and wait for them."""
    tasks = [
        asyncio.create_task(_run(worker), name=getattr(worker, "__qualname__", repr(worker)))
        for worker in workers
    ]
    try:
        yield tasks
    finally:
        for task in await _end(tasks):
            _log.error("worker did not end when it was cancelled", worker=task.get_name())


async def _end(tasks: Iterable[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Cancel the tasks until they end; return those that did not in time.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which redis-py sends by, loses a
    cancellation that comes in the moment of success (python/cpython#86296).
    """
    pending = set(tasks)
    for _ in range(CANCELLATIONS):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=CANCELLATION_SECONDS)
    return pending


async def _run(worker: Worker) -> None:
    await worker()
