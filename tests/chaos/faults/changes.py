"""Changes that are made while the shop is open: of its processes, its schema, its clocks."""

import asyncio
from dataclasses import replace
from pathlib import Path

import asyncpg
from motor.motor_asyncio import AsyncIOMotorClient

from tests.chaos import world as worlds
from tests.chaos.scene import Scene
from tests.chaos.wiring import SERVICES

_SKEWED = Path(__file__).parents[1] / "skewed.py"
_FIVE_MINUTES = 300


async def rolling_restart(scene: Scene) -> int:
    """Each service drains, ends and starts again, one after the other, while people buy."""
    for name in (*SERVICES, "gateway"):
        await scene.world.processes[name].restart()
    return len(SERVICES) + 1


async def migration_under_load(scene: Scene) -> int:
    """The migrations run again, and columns come and go under statements that are prepared."""
    async with asyncio.TaskGroup() as tasks:
        for name in SERVICES:
            tasks.create_task(worlds.migrate(scene.world.launches[name], name))
        tasks.create_task(_expand_and_contract(scene))
    return len(SERVICES) + 1


async def clock_wrong_by_five_minutes(scene: Scene) -> int:
    """One service's clock is five minutes fast or slow."""
    name = scene.dice.choice(("order", "payment", "product", "notification"))
    seconds = scene.dice.choice((-_FIVE_MINUTES, _FIVE_MINUTES))
    process = scene.world.processes[name]
    right = process.program
    python, *rest = right.argv
    process.program = replace(right, argv=(python, str(_SKEWED), str(seconds), *rest))
    try:
        await process.restart()
        await asyncio.sleep(scene.seconds(10))
    finally:
        process.program = right
        await process.restart()
    return 1


async def reservation_expires_in_the_payment(scene: Scene) -> int:
    """An order's stock is given back while its payment is on its way, so it can't be charged."""
    world = scene.world
    async with (
        world.armed("order", "order.before_effect[PAYMENT_AUTHORIZED]=stop") as reached,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(scene.buy(role="slow payer", seconds=30))
        stopped = await reached(seconds=60)
        try:
            expired = await _expire_what_is_held(world.sources.mongo) if stopped else 0
            await asyncio.sleep(scene.seconds(3))
        finally:
            world.processes["order"].resume()
    return expired


async def _expire_what_is_held(mongo: str) -> int:
    """Lets the time of every held reservation be over, as if it had passed; returns how many."""
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongo, timeoutMS=10_000)
    count = 0
    try:
        products = client["product"]["products"]
        async for product in products.find({}, {"reservations": 1}):
            reservations: dict[str, dict[str, object]] = product["reservations"]
            for order, each in reservations.items():
                if each["state"] == "HELD":
                    past = {f"reservations.{order}.expire_ms": 1, "due_ms": 1}
                    still = {"_id": product["_id"], f"reservations.{order}.state": "HELD"}
                    count += (await products.update_one(still, {"$set": past})).modified_count
    finally:
        client.close()
    return count


async def _expand_and_contract(scene: Scene) -> None:
    """Adds a column and an index, and takes them away again, with the locks a migration takes."""
    conn = await asyncpg.connect(scene.world.sources.database("order"))
    try:
        await conn.execute("SET lock_timeout = '2s'")
        for statement in (
            "ALTER TABLE orders ADD COLUMN IF NOT EXISTS gift_note text",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_gift_note ON orders (gift_note)",
            "DROP INDEX CONCURRENTLY IF EXISTS orders_gift_note",
            "ALTER TABLE orders DROP COLUMN IF EXISTS gift_note",
        ):
            await _until_locked(conn, statement)
            await asyncio.sleep(scene.seconds(2))
    finally:
        await conn.close()


async def _until_locked(conn: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    """Tries until the locks are given in time, as a migration that is run again."""
    while True:
        try:
            await conn.execute(statement)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(0.2)
        else:
            return
