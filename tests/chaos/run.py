"""One run: a shop, its buyers, the faults, and the books at the end.

    start ─ stock up ─ buyers come ─ measure ─ faults ─ buyers leave ─ settle ─ measure
          ─ stop the services ─ read the books ─ check ─ stop the stores

With a list of faults a run injects each once, in that order; with seconds it goes on drawing
faults, some at a time, until they are over; with kills it spreads so many over its orders
(`campaign`).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.chaos import books as all_books
from tests.chaos import campaign, catalogue, client, invariants, quiescence, resources, world
from tests.chaos.buyers import PATIENCE_SECONDS, STALLED_SECONDS, Crowd
from tests.chaos.faults import FAULTS
from tests.chaos.history import History
from tests.chaos.quiescence import Settling
from tests.chaos.scene import Scene
from tests.chaos.sources import Sources
from tests.chaos.world import World

_WARM_UP_ORDERS = 30
_WARM_UP_SECONDS = 120
_TOLD_SECONDS = 15
_SINGLE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do. `folder` is new and keeps everything of the run.

    `seconds`: how long faults are drawn; None injects each of `faults` once. `kills`: how many
    times a process is to be killed, spread over the `orders`, besides each of `faults` once.
    `orders`: how many must have been placed before it ends. `scale`: as in `Scene`.
    `settle_seconds`: how long what is left to do may take after the last fault. `lanes`: how many
    faults are injected at a time when they are drawn. `patience`: by how much a slow machine may
    miss the times that are promised.
    """

    folder: Path
    seed: str
    faults: Sequence[str] = tuple(FAULTS)
    seconds: float | None = None
    kills: int = 0
    orders: int = 0
    scale: float = 1.0
    buyers: int = 8
    lanes: int = 2
    settle_seconds: float = 60.0
    patience: float = 1.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    `injected`: how often each fault was. `failed`: what could not be injected at least once, and
    why: several at a time may be in each other's way. `broken`: who breaks each invariant.
    `unanswered`: purchases that a patient client could not bring to an answer. `seconds`: from when
    the shop opened until the last buyer had left. `sagas_ended`: after how many seconds the orders
    that were under way at the end of the last fault were settled. `drains`: how long the outbox
    took each time that Redis was back. `deaths`: how often each process ended, `kills`: how many of
    these by SIGKILL of ours.
    """

    injected: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    orders: int = 0
    attempts: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    deaths: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    sagas_ended: float | None = None
    drains: list[float | None] = field(default_factory=list)
    settling: Settling | None = None

    @property
    def holds(self) -> bool:
        """Whether every invariant held and nothing was left to do."""
        settled = self.settling is not None and self.settling.complete
        return settled and not any(self.broken.values())


def _untold(_: str) -> None:
    """Tells nobody how far a run is."""


async def run(plan: Plan, tell: Callable[[str], None] = _untold) -> Outcome:
    """Does what the plan says; `tell` is told every now and then how far it is."""
    async with finished(plan, tell) as (outcome, _):
        return outcome


@asynccontextmanager
async def finished(
    plan: Plan, tell: Callable[[str], None] = _untold
) -> AsyncIterator[tuple[Outcome, Sources]]:
    """Does what the plan says, and yields what came of it while the stores still run."""
    outcome = Outcome()
    told = plan.folder / "history.ndjson"
    async with world.running(plan.folder / "data") as shop:
        with History(told) as history:
            baseline = await _open_shop(plan, shop, history, outcome, tell)
            usage = await resources.measure(_pids(shop), shop.sources.postgres)
            await shop.close()
            for name, line in shop.complaints():
                history.note("complaint", process=name, line=line)
        books = await all_books.read(shop.sources, told, baseline=baseline, usage=usage)
        outcome.broken = invariants.check(books)
        outcome.orders = len(books.orders)
        outcome.deaths = {name: process.deaths for name, process in shop.processes.items()}
        outcome.kills = shop.kills
        outcome.drains = [note["seconds"] for note in books.notes["outbox drained"]]
        yield outcome, shop.sources


async def _open_shop(
    plan: Plan, shop: World, history: History, outcome: Outcome, tell: Callable[[str], None]
) -> dict[str, resources.Usage]:
    """Sells under faults until the plan is done and nothing is left to do."""
    history.note("plan", seed=plan.seed, seconds=plan.seconds, patience=plan.patience)
    async with client.opened(shop, history, began=time.monotonic()) as buyer:
        goods = await catalogue.stock_up(buyer, history, per_currency=8, single=_SINGLE)
        crowd = Crowd(
            client=buyer,
            catalogue=goods,
            seed=plan.seed,
            size=plan.buyers,
            pause_seconds=0.2,
            stalled_seconds=STALLED_SECONDS * plan.patience,
            patience_seconds=PATIENCE_SECONDS * plan.patience,
        )
        leave = asyncio.Event()
        opened = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(plan.buyers):
                tasks.create_task(crowd.buy_until(leave, number))
            tasks.create_task(crowd.restock_until(leave))
            tasks.create_task(_tell_until(leave, plan, crowd, shop, tell))
            async with asyncio.timeout(_WARM_UP_SECONDS * plan.patience):
                await crowd.until_placed(_WARM_UP_ORDERS)
            baseline = await resources.measure(_pids(shop), shop.sources.postgres)
            scene = Scene(
                world=shop,
                client=buyer,
                history=history,
                catalogue=goods,
                crowd=crowd,
                dice=random.Random(plan.seed),  # noqa: S311 - repeatable
                scale=plan.scale,
                alone=plan.seconds is None or plan.lanes == 1,
            )
            await _inject(plan, scene, outcome)
            ended = await quiescence.sagas_ended(shop.sources, seconds=plan.settle_seconds)
            history.note("sagas ended", seconds=ended)
            outcome.sagas_ended = ended
            await crowd.until_placed(plan.orders)
            leave.set()
        outcome.seconds = time.monotonic() - opened
        shop.heal()
        await shop.ready()
        outcome.settling = await quiescence.settle(shop.sources, seconds=plan.settle_seconds)
        history.note("settled", **asdict(outcome.settling))
        outcome.attempts, outcome.unanswered = history.attempts, crowd.unanswered
    return baseline


async def _inject(plan: Plan, scene: Scene, outcome: Outcome) -> None:
    if plan.kills:
        async for name, scene_of_it in campaign.spread(plan, scene):
            await _one(name, scene_of_it, outcome)
        return
    if plan.seconds is None:
        for number, name in enumerate(plan.faults):
            await _one(name, scene.with_dice(f"{plan.seed} {number}"), outcome)
        return
    until = time.monotonic() + plan.seconds
    async with asyncio.TaskGroup() as lanes:
        for lane in range(plan.lanes):
            lanes.create_task(_lane(plan, scene, outcome, lane=lane, until=until))


async def _lane(plan: Plan, scene: Scene, outcome: Outcome, *, lane: int, until: float) -> None:
    """Injects faults that the lane's own dice draw, until time is up."""
    dice = random.Random(f"{plan.seed} lane {lane}")  # noqa: S311 - repeatable
    while time.monotonic() < until:
        # A crash is over soon.
        weights = [2 if name.startswith("kill") else 1 for name in plan.faults]
        (name,) = dice.choices(plan.faults, weights)
        await _one(name, scene.with_dice(f"{plan.seed} {lane} {dice.random()}"), outcome)
        await asyncio.sleep(dice.uniform(0, 1))


async def _one(name: str, scene: Scene, outcome: Outcome) -> None:
    """Injects one fault; what keeps it from being injected is told at the end."""
    began = time.monotonic()
    try:
        count = await FAULTS[name](scene)
    except Exception as error:  # noqa: BLE001 - the other faults are still to be injected
        outcome.failed[name] = f"{type(error).__name__}: {error}"
        count = 0
    outcome.injected[name] += count
    scene.history.note("fault", name=name, count=count, seconds=round(time.monotonic() - began, 2))


async def _tell_until(
    stop: asyncio.Event, plan: Plan, crowd: Crowd, shop: World, tell: Callable[[str], None]
) -> None:
    began = time.monotonic()
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_SECONDS):
                await stop.wait()
        seconds = time.monotonic() - began
        of = f" of {plan.orders}" if plan.orders else ""
        tell(f"{seconds:6.0f} s  {crowd.placed}{of} orders acknowledged, {shop.kills} kills")


def _pids(shop: World) -> dict[str, int]:
    return {
        name: process.pid
        for name, process in shop.processes.items()
        if process.pid is not None and name not in world.STORES
    }
