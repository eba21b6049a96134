"""Ways between processes that delay, cut, swallow and repeat."""

import asyncio

from tests.chaos.scene import Scene

_TO_STORES = (
    ("order", "postgres"),
    ("payment", "postgres"),
    ("product", "mongo"),
    ("order", "redis"),
)
_BETWEEN_SERVICES = (("gateway", "order"), ("order", "product"), ("order", "payment"))


async def order_and_payment_black_holed(scene: Scene) -> int:
    """What order and payment say to each other goes nowhere for a while, and arrives late."""
    link = scene.world.links["order", "payment"]
    link.hold()
    await asyncio.sleep(scene.seconds(15))
    link.heal()
    return 1


async def answers_of_payment_lost(scene: Scene) -> int:
    """Payment does what it is asked, and its answers never reach the order service."""
    link = scene.world.links["order", "payment"]
    link.backward.dropped = True
    await asyncio.sleep(scene.seconds(8))
    link.heal()
    return 1


async def connections_cut(scene: Scene) -> int:
    """Every connection on some ways is reset, again and again."""
    count = 0
    for _ in range(5):
        way = scene.dice.choice((*_TO_STORES, *_BETWEEN_SERVICES, ("payment", "sandbox")))
        count += scene.world.links[way].cut()
        await asyncio.sleep(scene.dice.uniform(0, scene.seconds(1)))
    return count


async def network_slow(scene: Scene) -> int:
    """Everything between some processes comes late and in small portions."""
    ways = [scene.dice.choice(_BETWEEN_SERVICES), scene.dice.choice(_TO_STORES)]
    for way in ways:
        link = scene.world.links[way]
        link.forward.delay_seconds = scene.dice.uniform(0.02, 0.2)
        link.backward.bytes_per_second = 50_000
    await asyncio.sleep(scene.seconds(10))
    for way in ways:
        scene.world.links[way].heal()
    return len(ways)


async def requests_to_the_provider_duplicated(scene: Scene) -> int:
    """The payment provider gets every request twice."""
    link = scene.world.links["payment", "sandbox"]
    link.duplicated = True
    await asyncio.sleep(scene.seconds(8))
    link.heal()
    return 1


async def provider_unreachable(scene: Scene) -> int:
    """Nobody answers at the payment provider's address."""
    link = scene.world.links["payment", "sandbox"]
    link.refusing = True
    link.cut()
    await asyncio.sleep(scene.seconds(6))
    link.heal()
    return 1
