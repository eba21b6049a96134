"""What a fault is given to work with."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Self

from tests.chaos.buyers import Crowd, new_id
from tests.chaos.catalogue import Catalogue
from tests.chaos.client import Client
from tests.chaos.history import Attempt, History
from tests.chaos.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The running shop with its buyers, and dice of the fault's own.

    `scale` shortens or lengthens what lasts: 1 in a long run, less in a short one. `alone`: whether
    no other fault is injected meanwhile, so that a promised time can be held against it.
    """

    world: World
    client: Client
    history: History
    catalogue: Catalogue
    crowd: Crowd
    dice: random.Random
    scale: float
    alone: bool

    def with_dice(self, seed: str) -> Self:
        """Returns the scene with dice of its own, so that no other fault's throws count."""
        return replace(self, dice=random.Random(seed))  # noqa: S311 - repeatable

    def seconds(self, seconds: float) -> float:
        """Returns how long something that lasts `seconds` in a long run lasts in this one."""
        return seconds * self.scale

    async def buy(self, *, role: str, token: str = "tok_ok", seconds: float = 15) -> Attempt:  # noqa: S107 - of the sandbox
        """Buys something as somebody new, once."""
        return await self.client.create_order(
            user=new_id(self.dice),
            key=new_id(self.dice),
            items=self.catalogue.basket(self.dice),
            token=token,
            role=role,
            seconds=seconds,
        )


Fault = Callable[[Scene], Awaitable[int]]
"""Does its harm, ends it, and returns how often it was done; its docstring says what it does."""
