"""Processes that die in the middle of something, or stop for a while."""

import asyncio

from tests.chaos.scene import Scene
from tests.chaos.wiring import SERVICES

_REACHED_SECONDS = 60
_STATES = ("PENDING", "STOCK_RESERVED", "PAYMENT_AUTHORIZED", "STOCK_COMMITTED", "CANCELLING")
_ORDER_POINTS = ("order.before_place", "order.after_place", "order.before_answer")
_STOCK_POINTS = ("product.before_reserve", "product.after_take", "product.after_commit")


async def kill_order_between_commit_and_publish(scene: Scene) -> int:
    """The order service dies when events are committed and not yet in Redis."""
    return await die_at(scene, "order", "outbox.before_publish")


async def kill_relay_between_xadd_and_mark(scene: Scene) -> int:
    """The relay dies when Redis has the events and the outbox does not say so."""
    return await die_at(scene, "order", "outbox.before_mark")


async def kill_order_in_the_saga(scene: Scene) -> int:
    """The order service dies before or after a step of the saga, or between step and record."""
    place = scene.dice.choice(("before_effect", "after_effect", "after_record"))
    return await die_at(scene, "order", f"order.{place}[{scene.dice.choice(_STATES)}]")


async def kill_order_around_the_answer(scene: Scene) -> int:
    """The order service dies with the key claimed: before the order, after it, with the answer."""
    return await die_at(scene, "order", scene.dice.choice((*_ORDER_POINTS, "order.after_answer")))


async def kill_payment_before_the_provider(scene: Scene) -> int:
    """The payment service dies with an operation open that the provider has not seen."""
    kind = scene.dice.choice(("AUTHORIZE", "CAPTURE"))
    return await die_at(scene, "payment", f"payment.before_provider[{kind}]")


async def kill_payment_after_the_provider(scene: Scene) -> int:
    """The payment service dies when the provider has charged and nothing is written down."""
    kind = scene.dice.choice(("AUTHORIZE", "CAPTURE"))
    return await die_at(scene, "payment", f"payment.after_provider[{kind}]")


async def kill_payment_around_its_answer(scene: Scene) -> int:
    """The payment service dies around the commit of the provider's answer, or of the key's."""
    points = ("before_work", "after_settle", "before_answer", "after_answer")
    return await die_at(scene, "payment", f"payment.{scene.dice.choice(points)}")


async def kill_product_in_a_reservation(scene: Scene) -> int:
    """The product service dies with some of an order's stock taken or committed, not all."""
    return await die_at(scene, "product", scene.dice.choice(_STOCK_POINTS))


async def kill_consumer_around_the_commit(scene: Scene) -> int:
    """The consumer dies before its inbox commits, or before it acknowledges."""
    points = ("consumer.before_commit", "consumer.before_acknowledge")
    return await die_at(scene, "notification", scene.dice.choice(points))


async def kill_anything(scene: Scene) -> int:
    """Some process dies at some moment: a service, the gateway or the payment provider."""
    process = scene.world.processes[scene.dice.choice((*SERVICES, "gateway", "sandbox"))]
    await asyncio.sleep(scene.dice.uniform(0, scene.seconds(1)))
    killed = process.kill()
    await process.ready()
    return int(killed)


async def stop_anything(scene: Scene) -> int:
    """Some service hangs for longer than a lease, as under a debugger, and goes on."""
    process = scene.world.processes[scene.dice.choice(("order", "payment", "product"))]
    async with process.stopped():
        await asyncio.sleep(scene.seconds(8))
    return 1


async def stop_the_consumer(scene: Scene) -> int:
    """The notification service hangs while orders go on, and then catches up."""
    async with scene.world.processes["notification"].stopped():
        await asyncio.sleep(scene.seconds(15))
    return 1


async def die_at(scene: Scene, service: str, point: str) -> int:
    """Kills a service at a point, which a purchase of our own and those of the buyers reach."""
    process = scene.world.processes[service]
    token = "tok_declined" if "CANCELLING" in point else "tok_ok"
    async with (
        scene.world.armed(service, f"{point}=kill") as reached,
        asyncio.TaskGroup() as tasks,
    ):
        buying = tasks.create_task(_buy_again_and_again(scene, token))
        killed = await reached(seconds=_REACHED_SECONDS)
        buying.cancel()
    process.kills += killed
    await process.ready()
    return int(killed)


async def _buy_again_and_again(scene: Scene, token: str) -> None:
    while True:
        await scene.buy(role="victim", token=token)
