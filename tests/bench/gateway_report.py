"""The table of `gateway.py`.

Rates and latencies are medians of the turns with their spread; a ratio is the median of the ratios
of turns in the same round. `busy` is how much of its core a gateway took, `load` what load and
backend took of theirs: `!` where they were the bottleneck.
"""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

FASTAPI: Final = "fastapi"
ENVOY: Final = "envoy"
GATEWAY: Final = "gateway"

_BUSY: Final = 0.9
_COLUMNS: Final = (
    ("case", 8),
    ("conn.", 6),
    ("gateway", 9),
    ("req/s", 8),
    ("spread", 16),
    ("p50 ms", 8),
    ("p99 ms", 8),
    ("/FastAPI", 10),
    ("/Envoy", 8),
    ("CPU us", 8),
    ("busy", 6),
    ("load", 6),
    ("RSS MB", 9),
    ("refused", 9),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one turn has measured."""

    round: int
    gateway: str
    case: str
    connections: int
    requests: int
    """Those that were answered."""
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: tuple[float, ...]
    """Of each of the gateway's processes."""
    other_cpu_seconds: float
    """Of the process that asks and answers the calls."""
    resident_mb: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """The gateway's CPU time an answer, in microseconds."""
        return sum(self.cpu_seconds) / self.requests * 1e6

    @property
    def load_us(self) -> float:
        """The same of load and backend."""
        return self.other_cpu_seconds / self.requests * 1e6

    def to_json(self) -> dict[str, Any]:
        """Gives the figures for a file."""
        return asdict(self) | {"rate": self.rate, "cpu_us": self.cpu_us}


class Samples:
    """All turns, by what was measured."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def of(self, gateway: str, case: str, connections: int) -> list[Sample]:
        """Gives the turns of a gateway, in the order of the rounds."""
        asked = (gateway, case, connections)
        return [each for each in self._samples if asked == _turn(each)]

    def turns(self) -> list[tuple[str, str, int]]:
        """Lists what has turns, in the order measured."""
        return list(dict.fromkeys(map(_turn, self._samples)))

    def ratio(
        self,
        gateway: str,
        other: str,
        case: str,
        connections: int,
        figure: Callable[[Sample], float],
    ) -> float | None:
        """Gives a figure of a gateway by that of another; None if one has no turns."""
        pairs = zip(
            self.of(gateway, case, connections), self.of(other, case, connections), strict=False
        )
        ratios = [figure(mine) / figure(others) for mine, others in pairs]
        return statistics.median(ratios) if ratios else None


def _rate(sample: Sample) -> float:
    return sample.rate


def _turn(sample: Sample) -> tuple[str, str, int]:
    return sample.gateway, sample.case, sample.connections


def median(samples: Iterable[Sample], figure: Callable[[Sample], float]) -> float:
    """Gives the median of a figure."""
    return statistics.median(map(figure, samples))


def table(samples: Samples) -> str:
    """Writes one line for each gateway, case and number of connections."""
    lines = ["".join(f"{title:>{width}}" for title, width in _COLUMNS)]
    for gateway, case, connections in samples.turns():
        turns = samples.of(gateway, case, connections)
        rates = [each.rate for each in turns]
        ratios = [
            samples.ratio(gateway, other, case, connections, _rate) for other in (FASTAPI, ENVOY)
        ]
        load = median(turns, lambda each: each.other_cpu_seconds / each.seconds)
        cells = (
            case,
            str(connections),
            gateway,
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{median(turns, lambda each: each.p50_ms):.2f}",
            f"{median(turns, lambda each: each.p99_ms):.2f}",
            *(f"{ratio:.2f}" if ratio else "-" for ratio in ratios),
            f"{median(turns, lambda each: each.cpu_us):.1f}",
            f"{median(turns, lambda each: sum(each.cpu_seconds) / each.seconds):.0%}",
            f"{load:.0%}{'!' if load > _BUSY else ''}",
            f"{max(each.resident_mb for each in turns):.0f}",
            f"{sum(each.refused for each in turns) or '-'}",
        )
        widths = (width for _, width in _COLUMNS)
        lines.append("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    return "\n".join(lines)
