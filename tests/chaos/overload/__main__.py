"""Three times what the shop can do: `make bench-overload`.

    ramp        more visitors come, step by step, until the shop falls behind: its capacity
    overload    three times as many come as it had capacity for, and try again when refused
    afterwards  half as many come: how soon are all served again?

Real processes and real stores on this machine, as `make up` runs them. Visitors come at a given
rate and do not wait for each other. It exits with 1 when an aim is missed. Needs a quiet machine.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from tests.chaos import catalogue, client, world
from tests.chaos.history import History
from tests.chaos.overload import calls
from tests.chaos.overload.measure import Stretch, stretch, well_after
from tests.chaos.overload.visitors import CHECKOUT, LOOK, Visitors

_FIRST_RATE, _GROWTH, _MOST_STEPS = 4.0, 1.3, 12
_KEEPS_UP = 0.85
_TIMES = 3
_REST_SECONDS = 5.0
_AFTERWARDS_SECONDS = 20.0

_LEAST_GOODPUT = 0.9
_MOST_RECOVERY_SECONDS = 10.0
_MOST_AMPLIFICATION = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured; `by_clients` and `by_mesh` are how often each repeats a call.

    `outcomes`: of each attempt while three times as many came, by its kind.
    """

    stretches: list[Stretch]
    capacity: float
    overload: Stretch
    recovered: float | None
    by_clients: float
    by_mesh: float
    outcomes: dict[str, Counter[str]]

    def aims(self) -> Iterator[tuple[str, bool]]:
        """Yields what was measured of each aim, and whether it was reached."""
        share = self.overload.orders / self.capacity
        yield (
            f"goodput {self.overload.orders:.1f} orders/s, {share:.0%} of the peak (at least 90 %)",
            share >= _LEAST_GOODPUT,
        )
        bought, looked = self.overload.shed[CHECKOUT], self.overload.shed[LOOK]
        yield f"shed {looked:.0%} of looks, {bought:.0%} of checkouts (last)", bought <= looked
        recovered = "never" if self.recovered is None else f"after {self.recovered:.0f} s"
        yield (
            f"all served again {recovered} (at most 10 s)",
            self.recovered is not None and self.recovered <= _MOST_RECOVERY_SECONDS,
        )
        both = self.by_clients * self.by_mesh
        by = f"clients {self.by_clients:.2f}, mesh {self.by_mesh:.2f}"
        yield (
            f"retry amplification {both:.2f} (at most {_MOST_AMPLIFICATION}): {by}",
            both <= _MOST_AMPLIFICATION,
        )


def main() -> int:
    """Measures, prints a table and the aims; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.overload", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--step-seconds", type=float, default=8.0, help="of the ramp")
    parser.add_argument("--overload-seconds", type=float, default=30.0)
    parser.add_argument("--seed", default="overload", help="what the visitors' dice are made of")
    parser.add_argument("--folder", type=Path, help="where the shop's data and logs are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-overload-") as temporary:
        folder: Path = options.folder or Path(temporary)
        result = uvloop.run(
            _run(folder, options.seed, options.step_seconds, options.overload_seconds)
        )
    reached = True
    _say("")
    for kind, outcomes in result.outcomes.items():
        told = ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.most_common())
        _say(f"{kind} attempts at three times: {told}")
    _say("")
    for text, is_reached in result.aims():
        _say(f"{'yes' if is_reached else 'NO ':<4} {text}")
        reached = reached and is_reached
    return 0 if reached else 1


async def _run(folder: Path, seed: str, step_seconds: float, overload_seconds: float) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    async with world.running(folder / "data", proxied=False) as shop:
        with History(folder / "history.ndjson") as history:
            async with client.opened(shop, history, began=time.monotonic()) as staff:
                goods = await catalogue.stock_up(staff, history, per_currency=8, single=0)
                async with aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0)
                ) as session:
                    visitors = Visitors(
                        session=session,
                        base=shop.endpoints.gateway,
                        token=staff.token,
                        catalogue=goods,
                        dice=random.Random(seed),  # noqa: S311 - repeatable
                    )
                    result = await _measure(
                        visitors, shop.endpoints.metrics, step_seconds, overload_seconds
                    )
            await shop.close()
    return result


async def _measure(
    visitors: Visitors, metrics: dict[str, str], step_seconds: float, overload_seconds: float
) -> Result:
    stretches: list[Stretch] = []
    _say(
        f"{'':<12}{'checkouts/s':>12}{'orders/s':>10}{'looks/s':>9}{'p50 s':>7}{'p99 s':>7}"
        f"{'shed: checkouts':>17}{'looks':>7}"
    )
    async with asyncio.TaskGroup() as tasks:

        async def lets_come(name: str, rate: float, seconds: float) -> Stretch:
            began = time.monotonic()
            await visitors.come(rate, seconds, tasks=tasks)
            seen = stretch(
                name, visitors.visits, checkouts=rate, began=began, ended=time.monotonic()
            )
            _say(_row(seen))
            stretches.append(seen)
            return seen

        await lets_come("warm-up", _FIRST_RATE, step_seconds)
        rate = _FIRST_RATE
        for number in range(_MOST_STEPS):
            seen = await lets_come(f"ramp {number + 1}", rate, step_seconds)
            if seen.orders < _KEEPS_UP * rate:
                break
            rate *= _GROWTH
        capacity = max(each.orders for each in stretches)
        await asyncio.sleep(_REST_SECONDS)
        before, began = await calls.count(visitors.session, metrics), time.monotonic()
        overload = await lets_come("three times", _TIMES * capacity, overload_seconds)
        after, ended = await calls.count(visitors.session, metrics), time.monotonic()
        await lets_come("afterwards", capacity / 2, _AFTERWARDS_SECONDS)
        recovery_ended = time.monotonic()
    attempts = [each for each in visitors.attempts if began <= each.ended < ended]
    forwarded = Counter(each.service for each in attempts if each.refused_by != "gateway.souk")
    visits = [each for each in visitors.visits if began <= each.ended < ended]
    return Result(
        stretches=stretches,
        capacity=capacity,
        overload=overload,
        recovered=well_after(visitors.visits, began=ended, ended=recovery_ended),
        by_clients=sum(each.attempts for each in visits) / len(visits),
        by_mesh=calls.amplification(after.since(before), forwarded),
        outcomes={
            kind: Counter(each.outcome for each in attempts if each.kind == kind)
            for kind in (CHECKOUT, LOOK)
        },
    )


def _row(seen: Stretch) -> str:
    return (
        f"{seen.name:<12}{seen.checkouts:>12.1f}{seen.orders:>10.1f}{seen.looks:>9.1f}"
        f"{seen.median:>7.2f}{seen.most:>7.2f}{seen.shed[CHECKOUT]:>17.0%}{seen.shed[LOOK]:>7.0%}"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
