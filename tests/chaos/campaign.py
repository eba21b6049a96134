"""A given number of kills, spread over a given number of orders.

By the clock, a slow machine would spend a run dying and a quick one would hardly be hit. By the
orders, each kill meets about as many of them on either.

Each fault is injected once, wherever the dice put it; all other places are kills, at a point or at
any moment. One fault ends before the next begins.
"""

import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tests.chaos.scene import Scene

_KILLS = "kill_"


class Campaign(Protocol):
    """What of a plan matters here."""

    @property
    def seed(self) -> str:
        """What the dice are made of."""

    @property
    def faults(self) -> Sequence[str]:
        """The faults to inject."""

    @property
    def kills(self) -> int:
        """How often a process is to be killed."""

    @property
    def orders(self) -> int:
        """How many orders are to be placed."""


async def spread(plan: Campaign, scene: Scene) -> AsyncIterator[tuple[str, Scene]]:
    """Yields each fault when its order has been placed, until there were enough kills."""
    dice = random.Random(f"{plan.seed} campaign")  # noqa: S311 - repeatable
    names = _draw(plan, dice)
    for number, name in enumerate(names):
        due = (number + dice.random()) * plan.orders / len(names)
        await scene.crowd.until_placed(math.ceil(due))
        yield name, scene.with_dice(f"{plan.seed} {number}")
    # A point that nobody reached in time killed nobody.
    for _ in range(plan.kills):
        if scene.world.kills >= plan.kills:
            return
        yield dice.choice(_kills(plan)), scene.with_dice(f"{plan.seed} {dice.random()}")


def _draw(plan: Campaign, dice: random.Random) -> list[str]:
    kills = _kills(plan)
    more = max(0, plan.kills - len(kills))
    names = [*plan.faults, *dice.choices(kills, k=more)]
    dice.shuffle(names)
    return names


def _kills(plan: Campaign) -> list[str]:
    return [name for name in plan.faults if name.startswith(_KILLS)]
