"""People who buy all the time, as good clients do: one key per purchase, kept through every retry.

Now and then they repeat a purchase that was answered, read their orders, cancel one, and try what
is not theirs.
"""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from tests.chaos.catalogue import Catalogue
from tests.chaos.client import Client, persist
from tests.chaos.history import Attempt

_TOKENS = ("tok_ok", "tok_declined", "tok_charge_then_timeout", "tok_answers_twice")
_WEIGHTS = (86, 6, 3, 5)
STALLED_SECONDS = 180
PATIENCE_SECONDS = 60

_POLL_SECONDS = 0.05
_REMEMBERED = 200


@dataclass(slots=True, kw_only=True)
class Crowd:
    """All buyers of a run, `size` of them at a time.

    `orders`: what was placed lately, by whom: `(user, order)`. `unanswered`: purchases that a
    patient client could not bring to an answer. `stalled_seconds`: how long nobody can place an
    order before nobody is believed to be able to any more. `patience_seconds`: how long a purchase
    is repeated until it is answered.
    """

    client: Client
    catalogue: Catalogue
    seed: str
    pause_seconds: float
    size: int
    stalled_seconds: float = STALLED_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    placed: int = 0
    unanswered: int = 0
    orders: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    async def buy_until(self, stop: asyncio.Event, number: int) -> None:
        """Buys as one buyer, who is somebody else every few purchases."""
        dice = random.Random(f"{self.seed} buyer {number}")  # noqa: S311 - repeatable
        while not stop.is_set():
            user = new_id(dice)
            for _ in range(dice.randint(1, 5)):
                await self._purchase(dice, user)
                await asyncio.sleep(dice.expovariate(1 / self.pause_seconds))
                if stop.is_set():
                    return

    async def restock_until(self, stop: asyncio.Event) -> None:
        """Adds pieces to products and takes some away, as the staff does, once each time.

        It has no key, so that an attempt without an answer must not be repeated.
        """
        dice = random.Random(f"{self.seed} staff")  # noqa: S311 - repeatable
        while not stop.is_set():
            product = dice.choice(dice.choice(self.catalogue.plenty))
            pieces = dice.choice((-3, -1, 2, 5, 11))
            path = f"/v1/products/{product}:adjustStock"
            await self.client.staff(
                "AdjustStock", path, {"delta": pieces}, product=product, pieces=pieces
            )
            await asyncio.sleep(dice.expovariate(1))

    async def _purchase(self, dice: random.Random, user: str) -> None:
        place = partial(
            self.client.create_order,
            user=user,
            key=new_id(dice),
            items=self.catalogue.basket(dice),
            token=dice.choices(_TOKENS, _WEIGHTS)[0],
            via="grpc" if dice.random() < 0.15 else "rest",
        )
        placed = await persist(place, seconds=self.patience_seconds)
        if placed.acknowledged:
            self.placed += 1
            self.orders.append((user, placed.order))
        elif placed.reason not in {"PAYMENT_DECLINED", "OUT_OF_STOCK", "RESERVATION_EXPIRED"}:
            self.unanswered += 1
        if dice.random() < 0.15:
            await place()
        await self._look_around(dice, user, placed)

    async def until_placed(self, orders: int) -> None:
        """Returns once so many orders are placed. Raises TimeoutError when none is any more."""
        while (before := self.placed) < orders:
            async with asyncio.timeout(self.stalled_seconds):
                while self.placed == before:
                    await asyncio.sleep(_POLL_SECONDS)

    async def _look_around(self, dice: random.Random, user: str, placed: Attempt) -> None:
        client, chance = self.client, dice.random()
        if chance < 0.1 and placed.order:
            await persist(
                partial(client.cancel_order, placed.order, user=user), seconds=self.patience_seconds
            )
        elif chance < 0.25 and placed.order:
            await client.get_order(placed.order, user=user)
        elif chance < 0.35:
            await client.list_orders(user=user)
        elif chance < 0.4:
            await client.list_notifications(user=user)
        elif chance < 0.5 and self.orders:
            _, anothers = dice.choice(self.orders)
            await client.get_order(anothers, user=new_id(dice), role="snooper")


def new_id(dice: random.Random) -> str:
    """Returns a UUID that the same seed gives again."""
    return str(UUID(int=dice.getrandbits(128), version=4))
