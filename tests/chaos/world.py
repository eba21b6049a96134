"""The shop as it is run, with a proxy on every way between two processes.

    gateway ─╫─ user, product, order, payment, notification
    order   ─╫─ product, payment, user, postgres, redis
    payment ─╫─ sandbox, user, postgres            ╫ a TcpProxy: world.links["payment", "sandbox"]
    ...

Stores, sandbox, services and gateway are the processes that `souk up` starts, with real embedded
stores and mutual TLS. Whoever dies is started again at once.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.local import certs, ports, program, topology
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from services.local.launch import Launch
from services.local.program import Program
from services.user import signing_keys
from tests.chaos import wiring
from tests.chaos.processes import Process
from tests.chaos.sources import Sources
from tests.chaos.tcp_proxy import TcpProxy
from tests.chaos.wiring import SERVICES

STORES = ("postgres", "redis", "mongo")

_MIGRATE_SECONDS = 120
_POLL_SECONDS = 0.02

# By a process that gives up, or of a failure that nobody thought of.
_NEVER_SAID = (
    "worker ended",
    "did not end when",
    "unhandled error",
    "never retrieved",
    "can't be worked on",
    "can't be resolved",
)


class Reached(Protocol):
    """Waits until the armed point is hit."""

    async def __call__(self, *, seconds: float) -> bool:
        """Returns whether it was hit within that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running shop. Made by `running`.

    `endpoints`: where the processes really are, past all proxies. `links`: the proxies, by who
    calls whom. `launches`: how each service is started. `aims`: held by who has armed one of a
    service's failpoints.
    """

    folder: DataFolder
    endpoints: Endpoints
    links: Mapping[tuple[str, str], TcpProxy]
    processes: Mapping[str, Process]
    launches: Mapping[str, Launch]
    aims: Mapping[str, asyncio.Lock] = field(
        default_factory=lambda: {name: asyncio.Lock() for name in SERVICES}
    )

    @property
    def sources(self) -> Sources:
        """Where a checker finds what the run has left."""
        return Sources(
            postgres=self.endpoints.postgres,
            redis=self.endpoints.redis,
            mongo=self.endpoints.mongo,
            ledger=self.folder.store("sandbox") / "ledger.sqlite3",
        )

    @property
    def kills(self) -> int:
        """How often we killed a process."""
        return sum(process.kills for process in self.processes.values())

    @contextlib.asynccontextmanager
    async def armed(self, service: str, point: str) -> AsyncIterator["Reached"]:
        """Arms one failpoint of a service for one hit, until the block ends.

            async with world.armed("order", "order.after_place=kill") as reached:
                if await reached(seconds=10): ...

        Whoever wants another point of the same service waits for the end of the block.
        """
        once = self.folder.path / f"{service}.failpoint"
        hit = self.folder.path / f"{service}.failpoint.reached"

        async def reached(*, seconds: float) -> bool:
            deadline = time.monotonic() + seconds
            while not hit.exists() and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
            return hit.exists()

        async with self.aims[service]:
            temporary = once.with_suffix(".new")
            temporary.write_text(point)
            temporary.replace(once)
            try:
                yield reached
            finally:
                once.unlink(missing_ok=True)
                hit.unlink(missing_ok=True)

    def heal(self) -> None:
        """Ends whatever was done to the network and to running processes."""
        for link in self.links.values():
            link.heal()
        for process in self.processes.values():
            process.resume()

    async def ready(self, *, seconds: float = 90) -> None:
        """Returns when everything is ready; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            for process in self.processes.values():
                await process.ready(seconds=seconds)

    async def close(self) -> None:
        """Ends the gateway, the services and the payment provider; the stores go on."""
        for name, process in reversed(list(self.processes.items())):
            if name not in STORES:
                await process.stop()

    def complaints(self) -> Iterator[tuple[str, str]]:
        """Yields what processes said that none may ever say, by their names."""
        for path in sorted((self.folder.path / "logs").glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                if any(text in line for text in _NEVER_SAID):
                    yield path.stem, line[:300]


@contextlib.asynccontextmanager
async def running(path: Path, *, proxied: bool = True) -> AsyncIterator[World]:
    """Runs a shop in the new folder `path` for the length of the block.

    Unless it is `proxied` processes reach each other directly, and there are no links.
    """
    folder = DataFolder(path)
    folder.create()
    (path / "logs").mkdir()
    certs.ensure(folder.certs, topology.IDENTITIES)
    signing_keys.create(folder.signing_keys, "chaos")
    at = dict(zip(topology.DEFAULT_PORTS, ports.free(len(topology.DEFAULT_PORTS)), strict=True))
    async with contextlib.AsyncExitStack() as stack:
        stores = wiring.stores(folder, at)
        await _start(stack, stores.values())
        endpoints = wiring.endpoints(folder, at)
        links = await wiring.links(stack, endpoints) if proxied else {}
        launches = await wiring.launches(folder, endpoints, links)
        await _migrate(launches)
        programs = wiring.programs(folder, endpoints, launches)
        processes = stores | {each.name: Process(each) for each in programs}
        await _start(stack, [processes[each.name] for each in programs])
        yield World(
            folder=folder,
            endpoints=endpoints,
            links=links,
            processes=processes,
            launches=launches,
        )


async def _start(stack: contextlib.AsyncExitStack, processes: Iterable[Process]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for process in processes:
            stack.push_async_callback(process.stop)
            tasks.create_task(process.start())


async def _migrate(launches: Mapping[str, Launch]) -> None:
    async with asyncio.timeout(_MIGRATE_SECONDS), asyncio.TaskGroup() as tasks:
        for name in SERVICES:
            tasks.create_task(migrate(launches[name], name))


async def migrate(launch: Launch, name: str) -> None:
    """Brings the store of one service up to date by its own command."""
    process = await program.spawn(
        Program(
            name=f"migrate {name}",
            argv=(*launch.service(topology.SERVICES[SERVICES.index(name)]).argv[:-1], "migrate"),
            environment=launch.environment(name),
            log=Path(os.devnull),
        )
    )
    if await process.wait() != 0:
        raise RuntimeError(f"the migration of {name} ended with {process.returncode}")
