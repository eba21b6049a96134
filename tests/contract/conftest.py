"""pytest-grpc's fixtures over the real services.

| fixture               | scope   | gives                                                         |
|-----------------------|---------|---------------------------------------------------------------|
| `redis_url`           | session | a Redis of its own: streams and channels have fixed names     |
| `shop`                | session | the services and the storefront of `shop.py`, running         |
| `process`             | module  | the name of the service under test; a module says which       |
| `grpc_addr`           | module  | where it answers, in place of pytest-grpc's own port          |
| `grpc_server`         | module  | the running service, in place of pytest-grpc's own server     |
| `grpc_create_channel` | module  | pytest-grpc's, with the developer's certificate by default    |
| `grpc_channel`        | module  | pytest-grpc's own, and so is `grpc_stub`                       |
| `http_gateway`        | session | the URL of the gateway before these services, a process       |
| `channel_as`          | module  | `channel_as("order")`: a channel with another's certificate,  |
|                       |         | `channel_as("order", "payment")`: to another service          |
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest

from services.local import contract, ports, readiness, topology
from services.local.program import Program, running
from services.local.stores import redis
from tests import leaks
from tests.conftest import MakeDatabase
from tests.contract import shop as shops
from tests.contract.collector import collecting
from tests.contract.contracts import RPCS
from tests.contract.shop import Shop
from tests.contract.violations import broken_rules

CreateChannel = Callable[..., grpc.Channel]


class ChannelAs(Protocol):
    """Opens channels with any certificate of the mesh."""

    def __call__(self, identity: str, to: str = "") -> grpc.Channel:
        """Return the channel of `identity` to a service, the one under test if none is named."""


@pytest.fixture(scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs a Redis for this shop, whose services stay up beside the tests of others."""
    async with redis.running(tmp_path_factory.mktemp("shop_redis")) as url:
        yield url


@pytest.fixture(scope="session")
async def shop(
    make_database: MakeDatabase,
    redis_url: str,
    mongo_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    """Runs the services until the session ends; nothing secret is then in what they told."""
    folder = tmp_path_factory.mktemp("shop")
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(collecting(folder / shops.SPANS))
        sandbox = ports.address(ports.free()[0])
        await stack.enter_async_context(running(_sandbox(sandbox, folder)))
        urls = {
            "redis": redis_url,
            "mongo": f"{mongo_url.rstrip('/')}/contract",
            "sandbox": f"http://{sandbox}",
            **{name: await make_database() for name in topology.services_with("postgres")},
        }
        serving = shops.serving(folder, urls, collector)
        yield await asyncio.to_thread(stack.enter_context, serving)
    leaks.check(folder / told for told in ("shop.log", "errors.log", "sandbox.log", shops.SPANS))


def _sandbox(address: str, folder: Path) -> Program:
    return Program(
        name="sandbox",
        argv=(sys.executable, "-m", "services.sandbox"),
        environment={
            "SOUK_SANDBOX_LISTEN": address,
            "SOUK_SANDBOX_LEDGER": str(folder / "ledger.sqlite3"),
            "SOUK_SANDBOX_API_KEY": shops.PROVIDER_API_KEY,
        },
        check=lambda: readiness.check_http(address, "/healthz"),
        log=folder / "sandbox.log",
    )


@pytest.fixture(scope="session")
async def http_gateway(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Runs the gateway before the shop's services until the session ends."""
    address = ports.address(ports.free()[0])
    folder = tmp_path_factory.mktemp("gateway")
    log, spans = folder / "gateway.log", folder / shops.SPANS
    with collecting(spans) as collector:
        async with running(_gateway(address, shop, log, collector)):
            yield f"http://{address}"
    leaks.check([log, spans])


def _gateway(address: str, shop: Shop, log: Path, collector: str) -> Program:
    upstreams = [
        f"{name}={where}"
        for service, where in shop.addresses.items()
        for name in contract.grpc_services(service)
    ]
    certs = shop.certs_folder
    return Program(
        name="gateway",
        argv=(
            *(sys.executable, "-m", "gateway", "serve", "--listen", address),
            *("--descriptors", str(contract.DESCRIPTORS)),
            *(part for pair in upstreams for part in ("--upstream", pair)),
            *("--upstream-ca", str(certs / "ca.pem")),
            *("--upstream-cert", str(certs / "gateway.pem")),
            *("--upstream-key", str(certs / "gateway-key.pem")),
        ),
        # Here all callers have one address.
        environment={
            "SOUK_DRAIN_WAIT": "0s",
            "SOUK_RATE_FACTOR": "10000",
            **shops.traced(collector),
        },
        check=lambda: readiness.check_http(address, "/readyz"),
        log=log,
    )


@pytest.fixture(scope="module")
def process(request: pytest.FixtureRequest) -> str:
    """Names the service under test, as the parameter says."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def grpc_addr(shop: Shop, process: str) -> str:
    """Tells where the service under test answers."""
    return shop.addresses[process]


@pytest.fixture(scope="module")
def grpc_server(shop: Shop) -> Shop:
    """Gives what serves: the mesh's own server, which has started already."""
    return shop


@pytest.fixture(scope="module")
def grpc_create_channel(shop: Shop, grpc_create_channel: CreateChannel) -> CreateChannel:
    """Opens channels as pytest-grpc does, with the developer's certificate if none is given."""

    def create(
        credentials: grpc.ChannelCredentials | None = None, options: Any = None
    ) -> grpc.Channel:
        return grpc_create_channel(credentials or shop.credentials("developer"), options)

    return create


@pytest.fixture(scope="module")
def channel_as(shop: Shop, process: str) -> Iterator[ChannelAs]:
    """Opens one channel per identity and service, and closes them all."""
    with ExitStack() as stack:

        @cache
        def channel(identity: str, to: str = "") -> grpc.Channel:
            address, credentials = shop.addresses[to or process], shop.credentials(identity)
            return stack.enter_context(grpc.secure_channel(address, credentials))

        yield channel


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives every RPC, with the process that serves it, to the tests that ask for an `rpc`.

    A test that asks for a `broken` rule too gets each rule of each RPC.
    """
    if not {"rpc", "process"} <= set(metafunc.fixturenames):
        return
    if "broken" in metafunc.fixturenames:
        cases = [
            (rpc.process, rpc, broken)
            for rpc in RPCS
            for broken in broken_rules(rpc.method.input_type)
        ]
        metafunc.parametrize(
            ("process", "rpc", "broken"),
            cases,
            indirect=["process"],
            ids=[f"{rpc}-{broken}" for _, rpc, broken in cases],
            scope="module",
        )
    else:
        metafunc.parametrize(
            ("process", "rpc"),
            [(rpc.process, rpc) for rpc in RPCS],
            indirect=["process"],
            ids=map(str, RPCS),
            scope="module",
        )
