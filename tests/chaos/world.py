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
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from services.local import certs, contract, credentials, databases, ports, program, topology
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.local.endpoints import Endpoints
from services.local.launch import Launch
from services.local.program import Program
from services.local.stores import mongo, postgres, redis
from services.user import signing_keys
from tests.chaos.processes import Process
from tests.chaos.sources import Sources
from tests.chaos.tcp_proxy import TcpProxy

SERVICES = tuple(service.name for service in topology.SERVICES)
STORES = ("postgres", "redis", "mongo")

# Shorter than in operation, so that a run sees the end of what hangs.
_OPTIONS = {
    "SOUK_LOG_FORMAT": "console",
    "SOUK_LOG_LEVEL": "info",
    "SOUK_DRAIN_WAIT": "300ms",
    "SOUK_PAY_WITHIN": "15s",
    "SOUK_HOLD_STOCK": "40s",
    "SOUK_CONSUMER_NAME": "chaos",
    "SOUK_ABANDONED_AFTER": "5s",
    "SOUK_ANNOUNCEMENT_GRACE": "3s",
}
_MIGRATE_SECONDS = 120

# By a process that gives up, or of a failure that nobody thought of.
_NEVER_SAID = (
    "worker ended",
    "did not end when",
    "unhandled error",
    "never retrieved",
    "can't be worked on",
    "can't be resolved",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running shop. Made by `running`.

    `endpoints`: where the processes really are, past all proxies. `links`: the proxies, by who
    calls whom. `launches`: how each service is started.
    """

    folder: DataFolder
    endpoints: Endpoints
    links: Mapping[tuple[str, str], TcpProxy]
    processes: Mapping[str, Process]
    launches: Mapping[str, Launch]

    @property
    def sources(self) -> Sources:
        """Where a checker finds what the run has left."""
        return Sources(
            postgres=self.endpoints.postgres,
            redis=self.endpoints.redis,
            mongo=self.endpoints.mongo,
            ledger=self.folder.store("sandbox") / "ledger.sqlite3",
        )

    def arm(self, service: str, point: str) -> None:
        """Arms one failpoint of a service for one hit."""
        file = self._once(service)
        self._reached(service).unlink(missing_ok=True)
        temporary = file.with_suffix(".new")
        temporary.write_text(point)
        temporary.replace(file)

    async def reached(self, service: str, *, seconds: float) -> bool:
        """Waits until the armed point was hit; disarms it and returns False if it is not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._reached(service).exists():
                return True
            await asyncio.sleep(0.02)
        with contextlib.suppress(FileNotFoundError):
            self._once(service).unlink()
        return self._reached(service).exists()

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

    def _once(self, service: str) -> Path:
        return self.folder.path / f"{service}.failpoint"

    def _reached(self, service: str) -> Path:
        return self.folder.path / f"{service}.failpoint.reached"


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[World]:
    """Runs a shop in the new folder `path` for the length of the block."""
    folder = DataFolder(path)
    folder.create()
    (path / "logs").mkdir()
    certs.ensure(folder.certs, topology.IDENTITIES)
    signing_keys.create(folder.signing_keys, "chaos")
    at = dict(zip(topology.DEFAULT_PORTS, ports.free(len(topology.DEFAULT_PORTS)), strict=True))
    async with contextlib.AsyncExitStack() as stack:
        stores = _stores(folder, at)
        await _start(stack, stores.values())
        endpoints = _endpoints(folder, at)
        links = await _links(stack, endpoints)
        launches = await _launches(folder, endpoints, links)
        await _migrate(launches)
        programs = _programs(folder, endpoints, launches)
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


def _stores(folder: DataFolder, at: Mapping[str, int]) -> dict[str, Process]:
    # A killed server finds what it had written in the system's cache: no need to wait for disks.
    # Redis buffers in its own memory, so it is to lose no more than its last second.
    programs = (
        postgres.program(folder.store("postgres"), at["postgres"], durable=False),
        redis.program(folder.store("redis"), at["redis"], durable=True),
        mongo.program(folder.store("mongo"), at["mongo"]),
    )
    for each in programs:
        folder.store(each.name).mkdir(exist_ok=True)
    return {each.name: Process(each) for each in programs}


def _endpoints(folder: DataFolder, at: Mapping[str, int]) -> Endpoints:
    free = [
        ports.address(port) for port in ports.free(2 * len(SERVICES), besides=list(at.values()))
    ]
    return Endpoints(
        gateway=f"http://{ports.address(at['gateway'])}",
        grpc={name: ports.address(at[name]) for name in ("storefront", *SERVICES)},
        probes=dict(zip(SERVICES, free[: len(SERVICES)], strict=True)),
        metrics=dict(zip(SERVICES, free[len(SERVICES) :], strict=True)),
        sandbox=f"http://{ports.address(at['sandbox'])}",
        postgres=postgres.superuser_url(folder.store("postgres"), at["postgres"]),
        redis=redis.url(at["redis"]),
        mongo=mongo.url(at["mongo"]),
        certs=str(folder.certs),
        supervisor=os.getpid(),
    )


async def _links(
    stack: contextlib.AsyncExitStack, endpoints: Endpoints
) -> dict[tuple[str, str], TcpProxy]:
    """Opens a proxy on each way that a process takes to another one."""
    ways = [("gateway", name) for name in SERVICES]
    for service in topology.SERVICES:
        ways += [(service.name, callee) for callee in contract.callees(service.name)]
        ways += [(service.name, store) for store in sorted(service.stores)]
    ways.append(("payment", "sandbox"))
    addresses = endpoints.grpc | {
        "sandbox": urlsplit(endpoints.sandbox).netloc,
        "postgres": urlsplit(endpoints.postgres).netloc.rpartition("@")[2],
        "redis": urlsplit(endpoints.redis).netloc,
        "mongo": urlsplit(endpoints.mongo).netloc,
    }
    return {
        (caller, callee): await stack.enter_async_context(TcpProxy(addresses[callee]))
        for caller, callee in ways
    }


async def _launches(
    folder: DataFolder, endpoints: Endpoints, links: Mapping[tuple[str, str], TcpProxy]
) -> dict[str, Launch]:
    """Says how each process is started, which sees the others behind its own proxies."""
    urls = await databases.provision(endpoints.postgres, folder, topology.services_with("postgres"))
    found = {}
    for name in ("gateway", *SERVICES):
        seen = {callee: link.address for (caller, callee), link in links.items() if caller == name}
        found[name] = Launch(
            folder=folder,
            endpoints=replace(
                endpoints,
                grpc=endpoints.grpc | {each: seen[each] for each in seen if each in SERVICES},
                redis=_behind(endpoints.redis, seen.get("redis")),
                mongo=_behind(endpoints.mongo, seen.get("mongo")),
                sandbox=_behind(endpoints.sandbox, seen.get("sandbox")),
            ),
            databases={each: _behind(url, seen.get("postgres")) for each, url in urls.items()},
            admin=accounts.ensure(folder)["admin"],
            provider_api_key=credentials.ensure(folder, "provider/api-key"),
            provider_webhook_secret=credentials.ensure(folder, "provider/webhook"),
            options=_OPTIONS,
        )
    return found


def _programs(
    folder: DataFolder, endpoints: Endpoints, launches: Mapping[str, Launch]
) -> list[Program]:
    """Describes sandbox, services and gateway."""
    direct = replace(launches["gateway"], endpoints=endpoints)
    programs = [direct.sandbox(), launches["gateway"].gateway()]
    for service in topology.SERVICES:
        each = launches[service.name].service(service)
        once = str(folder.path / f"{service.name}.failpoint")
        own = {"SOUK_LISTEN": endpoints.grpc[service.name], "SOUK_FAILPOINTS_ONCE": once}
        programs.append(replace(each, environment={**each.environment, **own}))
    return [replace(each, log=folder.path / "logs" / f"{each.name}.log") for each in programs]


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


def _behind(url: str, address: str | None) -> str:
    """Returns `url` with the proxy's address, if there is one, in the place of the server's."""
    if address is None:
        return url
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}"))
