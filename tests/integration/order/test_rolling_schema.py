"""Two releases side by side on one database while its schema grows, under load.

    this release alone ── the next one migrates ── both serve ── the next alone ── rolled back

The next release is made here: a copy of the services with one migration more, which adds a column,
and a statement that writes it.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import grpc.aio
import pytest

from services.local import ports, program, readiness
from services.local.program import Program
from services.mesh.clients import CHANNEL_OPTIONS
from services.mesh.service_config import service_config
from services.order.settings import Settings
from souk.order.v1 import order_service_pb2, order_service_pb2_grpc
from tests.conftest import Eventually
from tests.integration.order.conftest import Shop, create_order, person
from tests.integration.order.stand_ins import World

_SERVICES = Path(__file__).parents[3] / "services"
_EXPAND = "ALTER TABLE orders ADD COLUMN gift_note text NOT NULL DEFAULT '';\n"
_WRITES_IT = {
    "pay_by, next_attempt_at, lease_expires_at, request_id)": (
        "pay_by, next_attempt_at, lease_expires_at, request_id, gift_note)"
    ),
    "clock_timestamp() + $9::interval, $10)": (
        "clock_timestamp() + $9::interval, $10, 'by the next release')"
    ),
}
_BY_NEXT = "by the next release"
_BY_THIS = ""
_BUYERS = 4
_SOME = 10


@dataclass(slots=True, kw_only=True)
class Buyers:
    """Buy one thing after another; `placed` says how many, `failed` what went wrong."""

    shop: Shop
    product_id: str
    placed: int = 0
    failed: list[str] = field(default_factory=list)

    async def buy_until(self, stop: asyncio.Event) -> None:
        """Buys; what gRPC's own retries do not mend counts as failed."""
        while not stop.is_set():
            try:
                await self.shop.place(create_order(self.product_id), person())
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{error.code().name}: {error.details()}")
            else:
                self.placed += 1

    async def go_on(self, eventually: Eventually) -> None:
        """Returns when some more orders were placed."""
        enough = self.placed + _SOME

        async def placed() -> bool:
            return self.placed >= enough

        await eventually(placed)


def next_release(folder: Path) -> Path:
    """Makes a tree with the services of the next release; returns where Python finds it."""
    shutil.copytree(_SERVICES, folder / "services")
    order = folder / "services" / "order"
    number = len(list((order / "migrations").glob("*.sql"))) + 1
    (order / "migrations" / f"{number:04}_add_gift_note.sql").write_text(_EXPAND)
    store = order / "store" / "_orders.py"
    text = store.read_text()
    for old, new in _WRITES_IT.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    store.write_text(text)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release in the folder `path`, which serves on `address`."""

    path: Path
    address: str
    probe: str
    environment: Mapping[str, str]

    def program(self, command: str) -> Program:
        """Describes a process of it."""
        return Program(
            name=command,
            # Without -P the working directory's services would come before those of PYTHONPATH.
            argv=(sys.executable, "-P", "-m", "services.order", command),
            environment={
                **self.environment,
                "PYTHONPATH": f"{self.path}{os.pathsep}{_SERVICES.parent}",
                "SOUK_LISTEN": self.address,
                "SOUK_PROBE_LISTEN": self.probe,
            },
            check=lambda: readiness.check_grpc(self.probe),
            log=self.path / f"{command}.log",
        )

    async def migrate(self) -> int | None:
        """Brings the database to its schema; returns the exit code."""
        return await (await program.spawn(self.program("migrate"))).wait()


@pytest.fixture
def releases(settings: Settings, world: World, tmp_path: Path) -> tuple[Release, Release]:
    """Gives this release and the next one."""
    environment = {
        "SOUK_TLS": "off",
        "SOUK_TARGETS": ",".join(f"{name}={world.address}" for name in settings.targets),
        "SOUK_DATABASE_URL": settings.database_url.reveal(),
        "SOUK_REDIS_URL": settings.redis_url.reveal(),
        "SOUK_POLL": "200ms",
        "SOUK_DRAIN_WAIT": "200ms",
    }
    free = [ports.address(port) for port in ports.free(4)]
    paths = (tmp_path / "this", next_release(tmp_path / "next"))
    paths[0].mkdir()
    return (
        Release(path=paths[0], address=free[0], probe=free[1], environment=environment),
        Release(path=paths[1], address=free[2], probe=free[3], environment=environment),
    )


@asynccontextmanager
async def calling(
    *releases: Release,
) -> AsyncIterator["order_service_pb2_grpc.OrderServiceAsyncStub"]:
    """Calls whichever of the releases serves, in turns, as every client of the mesh does."""
    contract = order_service_pb2.DESCRIPTOR.services_by_name["OrderService"]
    config = json.dumps(service_config([contract], timeouts=False))
    target = "ipv4:" + ",".join(each.address for each in releases)
    options = (*CHANNEL_OPTIONS, ("grpc.service_config", config))
    async with grpc.aio.insecure_channel(target, options) as channel:
        yield order_service_pb2_grpc.OrderServiceStub(channel)


async def test_no_call_fails_while_two_releases_share_a_growing_schema(
    world: World,
    conn: "asyncpg.Connection[asyncpg.Record]",
    releases: tuple[Release, Release],
    eventually: Eventually,
) -> None:
    """Old code serves before, during and after the migration, beside new code, and once more."""
    this, following = releases
    stop = asyncio.Event()

    async with calling(this, following) as stub, asyncio.TaskGroup() as tasks:
        buyers = Buyers(
            shop=Shop(world=world, conn=conn, stub=stub),
            product_id=world.warehouse.add(stock=100_000),
        )
        async with AsyncExitStack() as old, AsyncExitStack() as new:
            await old.enter_async_context(program.running(this.program("serve")))
            for _ in range(_BUYERS):
                tasks.create_task(buyers.buy_until(stop))
            await buyers.go_on(eventually)
            assert await following.migrate() == 0
            await buyers.go_on(eventually)
            await new.enter_async_context(program.running(following.program("serve")))
            await _goes_on_by(_BY_NEXT, conn, eventually)
            await old.aclose()
            await buyers.go_on(eventually)
            await old.enter_async_context(program.running(this.program("serve")))
            # The clients come back to an address that refused them only after a backoff.
            await _goes_on_by(_BY_THIS, conn, eventually)
            await new.aclose()
            await buyers.go_on(eventually)
            stop.set()
    assert buyers.failed == []
    states = await conn.fetch("SELECT state, count(*) FROM orders GROUP BY state")
    assert [tuple(row) for row in states] == [("CONFIRMED", buyers.placed)]


async def _goes_on_by(
    note: str, conn: "asyncpg.Connection[asyncpg.Record]", eventually: Eventually
) -> None:
    """Returns when the release that writes `note` has placed some more orders."""
    query = "SELECT count(*) FROM orders WHERE gift_note = $1"
    enough = await conn.fetchval(query, note) + _SOME

    async def placed() -> bool:
        return bool(await conn.fetchval(query, note) >= enough)

    await eventually(placed)
