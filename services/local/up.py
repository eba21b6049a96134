"""`souk up`: the whole mesh under one supervisor, until it is told to stop.

    folder ─ ports ─ certificates ─ stores ─ databases ─ migrations ─ services ─ gateway ─ demo data

Whatever comes later is only tried once the earlier is ready; at the end all stops in reverse.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from services.local import (
    credentials,
    databases,
    endpoints,
    migrations,
    ports,
    renewal,
    rollover,
    topology,
    welcome,
)
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.demo import accounts, loading
from services.local.endpoints import Endpoints
from services.local.launch import Launch
from services.local.program import Program, StartFailed
from services.local.stores import mongo, postgres, redis
from services.local.supervisor import Supervisor
from services.user import signing_keys

# A supervisor killed a moment ago may leave stores that are just writing their last.
_LOCK_PATIENCE = timedelta(seconds=3)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PortsTaken(Exception):
    """Ports are in use; the message names each of them and how to set another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `souk up` is asked for.

    `ports`: by name, all of `topology.DEFAULT_PORTS`. `external`: URLs of stores that run
    elsewhere. `durable`: whether the embedded stores wait for the disk; tests need not.
    """

    ports: Mapping[str, int]
    external: Mapping[str, str]
    log_level: Literal["debug", "info", "warning", "error"]
    durable: bool
    with_demo: bool


async def up(folder: DataFolder, options: Options, console: Console) -> None:
    """Runs the mesh until SIGINT or SIGTERM; a second one kills what has not stopped yet.

    Raises DataFolderError, PortsTaken, StartFailed or another error when it cannot run, and
    CancelledError when it was stopped before it was ready.
    """
    began = time.monotonic()
    folder.check()
    folder.create()
    with folder.locked(patience=_LOCK_PATIENCE) as lock:
        endpoints.forget(folder)
        _require_free_ports(options)
        supervisor = Supervisor(console, pass_fds=(lock,))
        with _cancelled_by_signals(supervisor), ports.held(_own_ports(options).values()):
            async with supervisor, _announced_end(console):
                console.heading(f"Starting Souk on {folder.path}")
                with console.holding_logs(_culprits):
                    where = await _start(folder, options, console, supervisor)
                seconds = time.monotonic() - began
                with _findable(folder, where), contextlib.suppress(asyncio.CancelledError):
                    welcome.show(console, where, accounts.ensure(folder), seconds)
                    await renewal.keep(folder, where, console)
        console.heading("Stopped")


async def prepare(
    folder: DataFolder, options: Options, console: Console, supervisor: Supervisor
) -> Launch:
    """Starts the stores and makes all that the services need; returns how to launch them."""
    with _timed(console, "certificates"):
        # Nobody runs who would have to hear of it.
        await renewal.renew(folder, rollover.unheard)
        _ensure_signing_key(folder)
    async with asyncio.TaskGroup() as group:
        loading_processes = group.create_task(migrations.load())
        where = await start_stores(folder, options, supervisor)
    with _timed(console, "databases"):
        urls = await databases.provision(where.postgres, folder, topology.services_with("postgres"))
    launch = Launch(
        folder=folder,
        endpoints=where,
        databases=urls,
        admin=accounts.ensure(folder)["admin"],
        provider_api_key=credentials.ensure(folder, "provider/api-key"),
        provider_webhook_secret=credentials.ensure(folder, "provider/webhook"),
        options={
            "SOUK_LOG_FORMAT": "console",
            "SOUK_LOG_LEVEL": options.log_level,
            # Nothing needs time to learn that a process is about to go: all of them are.
            "SOUK_DRAIN_WAIT": "0s",
            # Few files on one disk: what is rotated here is to be seen at once.
            "SOUK_RELOAD_PERIOD": "1s",
        },
    )
    launch.write_secrets()
    with _timed(console, "migrations"):
        processes = loading_processes.result()
        await migrations.run(processes, {name: launch.environment(name) for name in processes})
    return launch


async def start_stores(folder: DataFolder, options: Options, supervisor: Supervisor) -> Endpoints:
    """Starts the embedded stores; returns where they are, and where all others will be."""
    await supervisor.start(*_stores(folder, options))
    return _endpoints(folder, options)


async def _start(
    folder: DataFolder, options: Options, console: Console, supervisor: Supervisor
) -> Endpoints:
    """Starts everything, returns once all is ready."""
    launch = await prepare(folder, options, console, supervisor)
    async with asyncio.TaskGroup() as group:
        services = [launch.service(each) for each in topology.SERVICES]
        serving = group.create_task(supervisor.start(launch.sandbox(), *services))
        # The gateway waits for no service, and its stage, the later one, is stopped first.
        group.create_task(supervisor.start(launch.gateway()))
        await serving
        if options.with_demo:
            with _timed(console, "demo data"):
                await loading.load(launch.endpoints, folder, accounts.ensure(folder))
    return launch.endpoints


def _culprits(error: Exception) -> set[str]:
    """Names the programs that did not start, however deep in groups their errors are."""
    if isinstance(error, ExceptionGroup):
        return {name for each in error.exceptions for name in _culprits(each)}
    named = isinstance(error, StartFailed) and error.program
    return {named} if named else set()


def _require_free_ports(options: Options) -> None:
    taken = [
        f"port {port} ({name}) is taken: set {topology.port_variable(name)} or --{name}-port"
        for name, port in _own_ports(options).items()
        if ports.is_taken(port)
    ]
    if taken:
        raise PortsTaken("\n".join([*taken, "or let `souk up --free-ports` take free ones"]))


def _own_ports(options: Options) -> dict[str, int]:
    """Returns the ports of what is started here, by name."""
    return {name: port for name, port in options.ports.items() if name not in options.external}


def _stores(folder: DataFolder, options: Options) -> list[Program]:
    """Returns the embedded stores that no URL replaces."""
    durable = options.durable
    programs = [
        postgres.program(folder.store("postgres"), options.ports["postgres"], durable=durable),
        redis.program(folder.store("redis"), options.ports["redis"], durable=durable),
        mongo.program(folder.store("mongo"), options.ports["mongo"]),
    ]
    return [program for program in programs if program.name not in options.external]


def _endpoints(folder: DataFolder, options: Options) -> Endpoints:
    """Says where everything is; an embedded PostgreSQL must have been set up."""
    names = [service.name for service in topology.SERVICES]
    at, external = options.ports, options.external
    free = [ports.address(port) for port in ports.free(2 * len(names) + 1, besides=at.values())]
    return Endpoints(
        gateway=f"http://{ports.address(at['gateway'])}",
        grpc={name: ports.address(at[name]) for name in ("storefront", *names)},
        probes=dict(zip(names, free[: len(names)], strict=True)),
        metrics=dict(zip(("gateway", *names), free[len(names) :], strict=True)),
        sandbox=f"http://{ports.address(at['sandbox'])}",
        postgres=external.get("postgres")
        or postgres.superuser_url(folder.store("postgres"), at["postgres"]),
        redis=external.get("redis") or redis.url(at["redis"]),
        mongo=external.get("mongo") or mongo.url(at["mongo"]),
        certs=str(folder.certs),
        supervisor=os.getpid(),
    )


def _ensure_signing_key(folder: DataFolder) -> None:
    """Makes the first key that signs access tokens."""
    keys = folder.signing_keys
    if not (keys / "current").exists():
        signing_keys.create(keys, secrets.token_hex(8))


@contextlib.contextmanager
def _findable(folder: DataFolder, where: Endpoints) -> Iterator[None]:
    """Lets other commands find the mesh for the length of the block."""
    endpoints.save(folder, where)
    try:
        yield
    finally:
        endpoints.forget(folder)


@contextlib.asynccontextmanager
async def _announced_end(console: Console) -> AsyncIterator[None]:
    try:
        yield
    finally:
        console.heading("Stopping; once more kills what has not stopped")


@contextlib.contextmanager
def _timed(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.done(what, time.monotonic() - began)


@contextlib.contextmanager
def _cancelled_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Cancels the running task on the first signal, kills the children on the next."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task  # noqa: S101 - there is one in every coroutine
    seen: list[bool] = []

    def stop() -> None:
        if seen:
            supervisor.kill()
        else:
            seen.append(True)
            task.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
