"""What the gateway is to reach, and whether it does: one line for each target."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.bench.gateway_report import ENVOY, FASTAPI, GATEWAY, Sample, Samples

_CONNECTIONS: Final = (16, 64)
_RATES: Final = (("product", FASTAPI, 8.0), ("product", ENVOY, 1.6), ("list", ENVOY, 1.0))
_TAILS: Final = ("product", "list", "create")
_RESIDENT_MB: Final = 70


def verdicts(samples: Samples) -> Iterator[str]:
    """Writes a line for each target that the turns tell of."""
    for case, other, least in _RATES:
        for connections in _CONNECTIONS:
            ratio = _ratio(samples, other, case, connections, lambda each: each.rate)
            if ratio is not None:
                what = f"{case}, {connections} connections: at least {least} times {other}'s rate"
                by_cpu = _ratio(samples, other, case, connections, lambda each: 1 / each.cpu_us)
                figures = f"{ratio:.2f} ({by_cpu:.2f} by CPU time)"
                yield _line(what, is_reached=ratio >= least, found=figures)
    for case in _TAILS:
        for connections in _CONNECTIONS:
            ratio = _ratio(samples, ENVOY, case, connections, lambda each: each.p99_ms)
            if ratio is not None:
                what = f"{case}, {connections} connections: p99 no worse than {ENVOY}'s"
                yield _line(what, is_reached=ratio <= 1, found=f"{ratio:.2f} times")
    resident = [each.resident_mb for each in samples if each.gateway == GATEWAY]
    if resident:
        what = f"at most {_RESIDENT_MB} MB resident"
        found = max(resident)
        yield _line(what, is_reached=found <= _RESIDENT_MB, found=f"{found:.0f} MB")


def _ratio(
    samples: Samples, other: str, case: str, connections: int, figure: Callable[[Sample], float]
) -> float | None:
    return samples.ratio(GATEWAY, other, case, connections, figure)


def _line(what: str, *, is_reached: bool, found: str) -> str:
    return f"{'reached' if is_reached else 'MISSED':8} {what}: {found}"
