"""A SIGKILL between any effect and its record: nothing is lost and nothing is charged twice."""

import asyncio
import dataclasses
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import product as each_pair
from pathlib import Path
from typing import Any

import asyncpg
import grpc.aio
import pytest

from services.local import ports
from services.local.program import Program, running
from services.order.settings import Settings
from souk.order.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc
from tests.conftest import Eventually
from tests.integration.order.conftest import (
    DECLINED,
    OK,
    Shop,
    Stub,
    create_order,
    person,
    serving,
)
from tests.integration.order.faults import AFTER, BEFORE, Fault
from tests.integration.order.stand_ins import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An order that is killed around the effect `rpc`.

    `is_cancelled`: the customer cancels it after it was confirmed. `ends`: the state it must come
    to; `ends_overdue`: likewise if its time to be paid is over by then.
    """

    rpc: str
    when: str
    token: str = OK
    is_cancelled: bool = False
    ends: str
    ends_overdue: str


CASES = [
    *(
        Case(rpc=rpc, when=when, ends="CONFIRMED", ends_overdue="EXPIRED")
        for rpc, when in each_pair(
            ("ReserveStock", "Authorize", "CommitReservation"), (BEFORE, AFTER)
        )
    ),
    Case(rpc="Capture", when=BEFORE, ends="CONFIRMED", ends_overdue="EXPIRED"),
    Case(rpc="Capture", when=AFTER, ends="CONFIRMED", ends_overdue="REFUNDED"),
    *(
        Case(rpc=rpc, when=when, token=DECLINED, ends="REJECTED", ends_overdue="REJECTED")
        for rpc, when in each_pair(("Void", "ReleaseReservation"), (BEFORE, AFTER))
    ),
    *(
        Case(rpc=rpc, when=when, is_cancelled=True, ends="REFUNDED", ends_overdue="REFUNDED")
        for rpc, when in each_pair(("Refund", "ReleaseReservation"), (BEFORE, AFTER))
    ),
]


POINTS = (
    "order.before_place",
    "order.after_place",
    *(
        f"order.after_record[{state}]"
        for state in ("STOCK_RESERVED", "PAYMENT_AUTHORIZED", "STOCK_COMMITTED", "PAYMENT_CAPTURED")
    ),
    "order.after_record[CONFIRMED]",
    "order.before_answer",
    "order.after_answer",
)
"""Between two commits: what a fault of another service can't reach."""


@pytest.mark.parametrize("is_overdue", [False, True])
async def test_a_kill_at_every_point_is_survived(
    world: World,
    settings: Settings,
    conn: "asyncpg.Connection[asyncpg.Record]",
    eventually: Eventually,
    tmp_path: Path,
    *,
    is_overdue: bool,
) -> None:
    """The process that comes after the killed one brings every order to its right end."""
    products = [world.warehouse.add(stock=5) for _ in CASES]
    async with process(settings, world, tmp_path / "log") as (stub, child):
        shop = Shop(world=world, conn=conn, stub=stub)
        async with asyncio.TaskGroup() as calls:
            await _begin(shop, products, calls)
            child.kill()
    world.faults.clear()
    if is_overdue:
        await conn.execute("UPDATE orders SET pay_by = clock_timestamp()")
    expected = [case.ends_overdue if is_overdue else case.ends for case in CASES]
    orders = [await shop.order_about(product_id) for product_id in products]
    async with process(settings, world, tmp_path / "log"):

        async def all_ended() -> bool:
            return [await shop.state(order_id) for order_id in orders] == expected

        await eventually(all_ended)
    sold = [state == "CONFIRMED" for state in expected]
    assert [world.warehouse.stock(each) for each in products] == [
        (4, 0, 1) if is_sold else (5, 0, 0) for is_sold in sold
    ]
    assert max(world.till.takings[each] for each in orders) == 1
    kept = [world.till.takings[each] - world.till.returns[each] for each in orders]
    assert kept == [int(is_sold) for is_sold in sold]


async def test_a_killed_call_is_answered_by_the_worker(
    world: World,
    settings: Settings,
    conn: "asyncpg.Connection[asyncpg.Record]",
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    """Who finishes the order stores the answer too; every repetition gets those very bytes."""
    product_id, customer = world.warehouse.add(stock=5), person()
    request = create_order(product_id)
    fault = world.faults.hang("Capture", product_id, when=AFTER)
    async with process(settings, world, tmp_path / "log") as (stub, child):
        shop = Shop(world=world, conn=conn, stub=stub)
        call = asyncio.create_task(_failed(shop.place(request, customer)))
        await fault.reached.wait()
        child.kill()
        await call
    world.faults.clear()
    order_id = await shop.order_about(product_id)
    # The claim would outlive the test: only the worker can answer in time.
    await conn.execute(
        "UPDATE idempotency_keys SET lease_until = now() + interval '1 h' WHERE resource = $1",
        order_id,
    )
    async with process(settings, world, tmp_path / "log") as (stub, _):
        shop = Shop(world=world, conn=conn, stub=stub)
        await eventually(lambda: shop.is_answered(order_id))
        orders = [await shop.place(request, customer) for _ in range(2)]
    stored = await conn.fetchval(
        "SELECT response FROM idempotency_keys WHERE resource = $1", order_id
    )
    answer = order_service_pb2.CreateOrderResponse.FromString(stored)
    assert [answer.order, answer.order] == orders
    assert (answer.order.order_id, await shop.state(order_id)) == (order_id, "CONFIRMED")
    assert world.till.takings[order_id] == 1


async def test_a_drain_hands_its_orders_on(
    world: World,
    settings: Settings,
    conn: "asyncpg.Connection[asyncpg.Record]",
    eventually: Eventually,
) -> None:
    """A process that ends in the middle of a step gives its orders to another, which finishes."""
    product_id = world.warehouse.add(stock=5)
    fault = world.faults.hang("Capture", product_id, when=AFTER)
    # With a lease that outlives the test: nothing can wait for it to run out.
    patient = dataclasses.replace(settings, lease=timedelta(hours=1))
    async with serving(patient) as stub:
        shop = Shop(world=world, conn=conn, stub=stub)
        call = asyncio.create_task(_failed(shop.place(create_order(product_id), person())))
        await fault.reached.wait()
        world.faults.clear()
    await call
    async with serving(patient):
        order_id = await shop.order_about(product_id)
        await eventually(lambda: shop.is_in(order_id, "CONFIRMED"))
    assert world.till.takings[order_id] == 1


async def _begin(shop: Shop, products: Sequence[str], calls: asyncio.TaskGroup) -> None:
    """Has every case hang at its point."""
    faults: list[Fault] = []
    for case, product_id in zip(CASES, products, strict=True):
        customer = person()
        placing = shop.place(create_order(product_id, token=case.token), customer)
        call: Awaitable[Any] = placing
        if case.is_cancelled:
            request = order_service_pb2.CancelOrderRequest(order_id=(await placing).order_id)
            call = shop.stub.CancelOrder(request, metadata=customer.metadata)
        faults.append(shop.world.faults.hang(case.rpc, product_id, when=case.when))
        calls.create_task(_failed(call))
    async with asyncio.timeout(60):
        for fault in faults:
            await fault.reached.wait()


async def _failed(call: Awaitable[Any]) -> None:
    answers = await asyncio.gather(call, return_exceptions=True)
    assert isinstance(answers[0], grpc.aio.AioRpcError | asyncio.CancelledError)


@asynccontextmanager
async def process(
    settings: Settings, world: World, log: Path, *, failpoint: Path | None = None
) -> AsyncIterator[tuple[Stub, asyncio.subprocess.Process]]:
    """Runs the order service as a process of its own; its leases last for two seconds.

    `failpoint` is the file that arms a point (`services.mesh.failpoints`).
    """
    (port,) = ports.free()
    address = ports.address(port)
    program = Program(
        name="order",
        argv=(sys.executable, "-m", "services.order"),
        environment={
            "SOUK_LISTEN": address,
            "SOUK_TLS": "off",
            "SOUK_TARGETS": ",".join(f"{name}={world.address}" for name in settings.targets),
            "SOUK_DATABASE_URL": settings.database_url.reveal(),
            "SOUK_REDIS_URL": settings.redis_url.reveal(),
            "SOUK_LEASE": "2s",
            "SOUK_POLL": "200ms",
            "SOUK_DRAIN_WAIT": "0s",
            "SOUK_FAILPOINTS_ONCE": str(failpoint or ""),
        },
        check=lambda: _serving(address),
        log=log,
    )
    async with running(program) as child, grpc.aio.insecure_channel(address) as channel:
        yield order_service_pb2_grpc.OrderServiceStub(channel), child


async def _serving(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(5):
        await channel.channel_ready()


async def test_a_kill_between_two_commits_is_survived(
    world: World, settings: Settings, conn: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    """Whoever repeats its call gets one order, one charge and always the same answer."""
    once = tmp_path / "failpoint"
    customer = person()
    answers: dict[str, order_pb2.Order] = {}
    previous: order_service_pb2.CreateOrderRequest | None = None
    for point in (*POINTS, ""):
        async with process(settings, world, tmp_path / "log", failpoint=once) as (stub, child):
            shop = Shop(world=world, conn=conn, stub=stub)
            if previous is not None:
                answers[previous.request_id] = await shop.place(previous, customer)
                assert await shop.place(previous, customer) == answers[previous.request_id]
            if point:
                once.write_text(f"{point}=kill")
                previous = create_order(world.warehouse.add(stock=5))
                await _failed(shop.place(previous, customer))
                assert await child.wait() == -signal.SIGKILL
    orders = [each.order_id for each in answers.values()]
    assert len(set(orders)) == len(POINTS)
    states = await conn.fetch("SELECT DISTINCT state FROM orders WHERE order_id = ANY($1)", orders)
    assert [row["state"] for row in states] == ["CONFIRMED"]
    assert [world.till.takings[order_id] for order_id in orders] == [1] * len(POINTS)
