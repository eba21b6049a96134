"""How the shop's processes are told of each other: everybody sees the others behind proxies.

stores      the three stores as processes
endpoints   where the processes really are
links       a proxy on each way that one takes to another
launches    how each service is started, by what it sees
programs    sandbox, services and gateway, ready to be started
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from services.local import contract, credentials, databases, ports, topology
from services.local.data_folder import DataFolder
from services.local.demo import accounts
from services.local.endpoints import Endpoints
from services.local.launch import Launch
from services.local.program import Program
from services.local.stores import mongo, postgres, redis
from tests.chaos.processes import Process
from tests.chaos.tcp_proxy import TcpProxy

SERVICES = tuple(service.name for service in topology.SERVICES)

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


def stores(folder: DataFolder, at: Mapping[str, int]) -> dict[str, Process]:
    """Describes the stores, on the ports `at`, by name."""
    # A killed server finds what it had written in the system's cache: no need to wait for disks.
    # Redis buffers in its own memory, so it is to lose no more than its last second.
    servers = (
        postgres.program(folder.store("postgres"), at["postgres"], durable=False),
        redis.program(folder.store("redis"), at["redis"], durable=True),
        mongo.program(folder.store("mongo"), at["mongo"]),
    )
    for each in servers:
        folder.store(each.name).mkdir(exist_ok=True)
    return {each.name: Process(each) for each in servers}


def endpoints(folder: DataFolder, at: Mapping[str, int]) -> Endpoints:
    """Says where everything is; PostgreSQL must have been set up."""
    free = [
        ports.address(port) for port in ports.free(2 * len(SERVICES) + 1, besides=list(at.values()))
    ]
    return Endpoints(
        gateway=f"http://{ports.address(at['gateway'])}",
        grpc={name: ports.address(at[name]) for name in ("storefront", *SERVICES)},
        probes=dict(zip(SERVICES, free[: len(SERVICES)], strict=True)),
        metrics=dict(zip(("gateway", *SERVICES), free[len(SERVICES) :], strict=True)),
        sandbox=f"http://{ports.address(at['sandbox'])}",
        postgres=postgres.superuser_url(folder.store("postgres"), at["postgres"]),
        redis=redis.url(at["redis"]),
        mongo=mongo.url(at["mongo"]),
        certs=str(folder.certs),
        supervisor=os.getpid(),
    )


async def links(
    stack: contextlib.AsyncExitStack, real: Endpoints
) -> dict[tuple[str, str], TcpProxy]:
    """Opens a proxy on each way that a process takes to another one."""
    ways = [("gateway", name) for name in (*SERVICES, "redis")]
    for service in topology.SERVICES:
        ways += [(service.name, callee) for callee in contract.callees(service.name)]
        ways += [(service.name, store) for store in sorted(service.stores)]
    ways.append(("payment", "sandbox"))
    addresses = real.grpc | {
        "sandbox": urlsplit(real.sandbox).netloc,
        "postgres": urlsplit(real.postgres).netloc.rpartition("@")[2],
        "redis": urlsplit(real.redis).netloc,
        "mongo": urlsplit(real.mongo).netloc,
    }
    return {
        (caller, callee): await stack.enter_async_context(TcpProxy(addresses[callee]))
        for caller, callee in ways
    }


async def launches(
    folder: DataFolder, real: Endpoints, ways: Mapping[tuple[str, str], TcpProxy]
) -> dict[str, Launch]:
    """Says how each process is started, which sees the others behind its own proxies.

    It gives each service a database of its own, which is empty.
    """
    urls = await databases.provision(real.postgres, folder, topology.services_with("postgres"))
    found = {}
    for name in ("gateway", *SERVICES):
        seen = {callee: link.address for (caller, callee), link in ways.items() if caller == name}
        found[name] = Launch(
            folder=folder,
            endpoints=replace(
                real,
                grpc=real.grpc | {each: seen[each] for each in seen if each in SERVICES},
                redis=_behind(real.redis, seen.get("redis")),
                mongo=_behind(real.mongo, seen.get("mongo")),
                sandbox=_behind(real.sandbox, seen.get("sandbox")),
            ),
            databases={each: _behind(url, seen.get("postgres")) for each, url in urls.items()},
            admin=accounts.ensure(folder)["admin"],
            provider_api_key=credentials.ensure(folder, "provider/api-key"),
            provider_webhook_secret=credentials.ensure(folder, "provider/webhook"),
            options=_OPTIONS,
        )
        # What it sees, by its own proxies.
        found[name].write_secrets(name)
    found["gateway"].write_secrets("sandbox")
    return found


def programs(folder: DataFolder, real: Endpoints, launched: Mapping[str, Launch]) -> list[Program]:
    """Describes sandbox, services and gateway."""
    direct = replace(launched["gateway"], endpoints=real)
    found = [direct.sandbox(), launched["gateway"].gateway()]
    for service in topology.SERVICES:
        each = launched[service.name].service(service)
        once = str(folder.path / f"{service.name}.failpoint")
        own = {"SOUK_LISTEN": real.grpc[service.name], "SOUK_FAILPOINTS_ONCE": once}
        found.append(replace(each, environment={**each.environment, **own}))
    return [replace(each, log=folder.path / "logs" / f"{each.name}.log") for each in found]


def _behind(url: str, address: str | None) -> str:
    """Returns `url` with the proxy's address, if there is one, in the place of the server's."""
    if address is None:
        return url
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}"))
