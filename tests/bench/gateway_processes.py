"""Two processes of the gateway beside one: the second part of `gateway.py`.

Load and backend need a core, too, and there are two: so all share both cores, for one process as
for two, and what is compared is what a request costs. A core carries as many requests a second as
fit into its second of CPU time; with cores of their own, n processes carry n times that. The
requests a second on the wall are printed beside it: there load and backend take their part.
Each process has as many connections as the other, so that one does not answer larger batches.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

from tests.bench import gateway_servers, gateway_turn
from tests.bench.gateway_backend import Backend
from tests.bench.gateway_cases import Case
from tests.bench.gateway_report import Sample
from tests.bench.gateway_servers import Place

_CORES: Final = (0, 1)
_WORKERS: Final = (1, 2)
_CONNECTIONS: Final = 64
_LEAST: Final = 1.8


async def measure(
    place: Place, backend: Backend, case: Case, *, rounds: int, seconds: float
) -> list[tuple[Sample, Sample]]:
    """Measures one process and two, in turns; a pair for each round."""
    os.sched_setaffinity(0, _CORES)
    pairs: list[tuple[Sample, Sample]] = []
    with ExitStack() as stack:
        contenders = []
        for workers in _WORKERS:
            server = stack.enter_context(gateway_servers.gateway(place, workers))
            await gateway_turn.until_open(server)
            contenders.append(await gateway_turn.check(f"{workers}", server, backend, case))
        for number in range(rounds):
            one, two = [
                await gateway_turn.measure(
                    contender,
                    backend,
                    connections=_CONNECTIONS * workers,
                    seconds=seconds,
                    number=number,
                )
                for workers, contender in zip(_WORKERS, contenders, strict=True)
            ]
            pairs.append((one, two))
    return pairs


def report(pairs: Sequence[tuple[Sample, Sample]]) -> Iterator[str]:
    """Writes what was measured, and whether the target is reached."""
    yield f"all on both cores, {_CONNECTIONS} connections a process, {len(pairs)} rounds, medians:"
    titles = {"processes": 10, "req/s": 8, "CPU us": 8, "cores carry": 13, "busiest": 9}
    yield "".join(f"{title:>{width}}" for title, width in titles.items()) + "  cores busy"
    for workers, turns in zip(_WORKERS, zip(*pairs, strict=True), strict=True):
        yield "".join(
            (
                f"{workers:10}{_median(each.rate for each in turns):8,.0f}",
                f"{_median(each.cpu_us for each in turns):8.1f}",
                f"{_median(_capacity(each, workers) for each in turns):13,.0f}",
                f"{_median(_busiest(each) for each in turns):9.0%}",
                f"{_median(_busy(each) for each in turns):12.0%}",
            )
        )
    wall = _median(two.rate / one.rate for one, two in pairs)
    carried = _median(_capacity(two, 2) / _capacity(one, 1) for one, two in pairs)
    verdict = "reached" if carried >= _LEAST else "MISSED"
    yield (
        f"{verdict:8} two processes with a core each: at least {_LEAST} times one: {carried:.2f} "
        f"by CPU time, {wall:.2f} on the wall, where load and backend share the cores"
    )


def _capacity(sample: Sample, workers: int) -> float:
    """Gives the requests a second that the processes carry with a core each."""
    return workers * 1e6 / sample.cpu_us


def _busiest(sample: Sample) -> float:
    return max(sample.cpu_seconds) / sum(sample.cpu_seconds)


def _busy(sample: Sample) -> float:
    return (sum(sample.cpu_seconds) + sample.other_cpu_seconds) / sample.seconds / len(_CORES)


def _median(figures: Iterator[float]) -> float:
    return statistics.median(figures)
