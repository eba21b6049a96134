"""Clients that do what they should not, and a provider that does not answer."""

import asyncio
from functools import partial

from tests.chaos.buyers import new_id
from tests.chaos.client import persist
from tests.chaos.history import Attempt
from tests.chaos.scene import Scene

_BUYERS = 100
_LONGEST_PURCHASE_MS = 200


async def provider_times_out_after_charging(scene: Scene) -> int:
    """The provider takes the money and never says so."""
    await asyncio.gather(
        *(_persistent(scene, "tok_charge_then_timeout", role="charged") for _ in range(3))
    )
    return 3


async def provider_hangs(scene: Scene) -> int:
    """The provider neither does nor answers anything, until the buyer or the shop gives up."""
    user = new_id(scene.dice)
    placed = await persist(
        partial(
            scene.client.create_order,
            user=user,
            key=new_id(scene.dice),
            items=scene.catalogue.basket(scene.dice),
            token="tok_hang",
            role="hanging",
        ),
        seconds=scene.crowd.patience_seconds,
    )
    if not placed.order:
        return 0
    if scene.dice.random() < 0.5:
        cancel = partial(scene.client.cancel_order, placed.order, user=user)
        await persist(cancel, seconds=scene.crowd.patience_seconds)
        return 1
    async with asyncio.timeout(scene.crowd.patience_seconds):
        while True:
            seen = await scene.client.get_order(placed.order, user=user)
            if seen.told.get("state") == "ORDER_STATE_EXPIRED":
                return 1
            await asyncio.sleep(0.5)


async def fifty_identical_posts(scene: Scene) -> int:
    """The same purchase is posted fifty times at once; it is one order with one answer."""
    post = partial(
        scene.client.create_order,
        user=new_id(scene.dice),
        key=new_id(scene.dice),
        items=scene.catalogue.basket(scene.dice),
        token="tok_ok",
        role="identical",
    )
    posts = (persist(post, seconds=scene.crowd.patience_seconds) for _ in range(50))
    return len([each for each in await asyncio.gather(*posts) if each.acknowledged])


async def same_key_with_another_body(scene: Scene) -> int:
    """A key is used again for another purchase, while the first goes on and after it."""
    user, key = new_id(scene.dice), new_id(scene.dice)
    buy = partial(scene.client.create_order, user=user, key=key, token="tok_ok")
    items = scene.catalogue.basket(scene.dice)
    first = await persist(partial(buy, items=items), seconds=scene.crowd.patience_seconds)
    if not first.order:
        return 0
    other = {product: pieces + 1 for product, pieces in items.items()}
    attempts = [await buy(items=other, role="other body", via=via) for via in ("rest", "grpc")]
    return len([each for each in attempts if each.reason == "IDEMPOTENCY_KEY_REUSED"])


async def same_key_of_another_user(scene: Scene) -> int:
    """Two users happen to have the same key; each gets an order of their own."""
    place = partial(
        scene.client.create_order,
        key=new_id(scene.dice),
        items=scene.catalogue.basket(scene.dice),
        token="tok_ok",
        role="same key",
    )
    users = [new_id(scene.dice) for _ in range(2)]
    placed = await asyncio.gather(
        *(
            persist(partial(place, user=user), seconds=scene.crowd.patience_seconds)
            for user in users
        )
    )
    return len({each.order for each in placed if each.acknowledged})


async def hundred_buyers_for_the_last_item(scene: Scene) -> int:
    """A hundred people buy the last piece at once."""
    if not scene.catalogue.single:
        return 0
    product = scene.catalogue.single.popleft()
    users = [new_id(scene.dice) for _ in range(_BUYERS)]
    keys = [new_id(scene.dice) for _ in range(_BUYERS)]
    await asyncio.gather(
        *(
            persist(
                partial(
                    scene.client.create_order,
                    user=user,
                    key=key,
                    items={product: 1},
                    token="tok_ok",
                    role="last item",
                ),
                seconds=scene.crowd.patience_seconds,
            )
            for user, key in zip(users, keys, strict=True)
        )
    )
    scene.history.note("last item", product=product, buyers=_BUYERS, alone=scene.alone)
    return _BUYERS


async def client_gone_at_every_millisecond(scene: Scene) -> int:
    """Clients hang up after 1, 2, 3 ... milliseconds of a purchase, and ask again later.

    A short run leaves out four of five.
    """
    moments = range(1, _LONGEST_PURCHASE_MS, 1 if scene.scale >= 1 else 5)
    for first in range(0, len(moments), scene.crowd.size):
        some = moments[first : first + scene.crowd.size]
        await asyncio.gather(*(_hang_up(scene, moment / 1000) for moment in some))
    return len(moments)


async def three_times_the_load(scene: Scene) -> int:
    """Three times as many buyers come as there were, and all of them try again."""
    stop = asyncio.Event()
    count = 3 * scene.crowd.size
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(scene.crowd.buy_until(stop, scene.dice.getrandbits(64)))
        await asyncio.sleep(scene.seconds(20))
        stop.set()
    return count


async def _persistent(scene: Scene, token: str, *, role: str) -> Attempt:
    place = partial(
        scene.client.create_order,
        user=new_id(scene.dice),
        key=new_id(scene.dice),
        items=scene.catalogue.basket(scene.dice),
        token=token,
        role=role,
    )
    return await persist(place, seconds=scene.crowd.patience_seconds)


async def _hang_up(scene: Scene, seconds: float) -> Attempt:
    place = partial(
        scene.client.create_order,
        user=new_id(scene.dice),
        key=new_id(scene.dice),
        items=scene.catalogue.basket(scene.dice),
        token="tok_ok",
        role="hangs up",
    )
    await place(seconds=seconds)
    return await persist(place, seconds=scene.crowd.patience_seconds)
