"""What Prometheus reads of HTTP requests.

    http_server_requests_total            method, rpc, status
    http_server_request_duration_seconds  method, rpc; until the answer begins

Plain numbers, which are read when somebody asks: a counter and a histogram of the Prometheus client
cost each request more (docs/decisions/0073). Only the loop's thread writes them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Metric

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Series:
    """What is counted of one method and RPC."""

    __slots__ = ("by_bucket", "by_status", "seconds")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.by_bucket = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Gives each bucket with those below it, as Prometheus wants it."""
        total, buckets = 0, []
        for bound, count in zip((*_BOUNDS, "+Inf"), self.by_bucket, strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        return buckets


class RequestMetrics:
    """The metrics of all requests; a collector for `prometheus_client`."""

    def __init__(self) -> None:
        # As many as there are methods and RPCs.
        self._series: dict[tuple[str, str], _Series] = {}

    def count(self, method: str, rpc: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        series = self._series.get((method, rpc))
        if series is None:
            series = self._series[method, rpc] = _Series()
        series.by_status[status] = series.by_status.get(status, 0) + 1
        series.by_bucket[bisect_left(_BOUNDS, seconds)] += 1
        series.seconds += seconds

    def collect(self) -> "Iterable[Metric]":
        """Gives the metrics as they are now."""
        from prometheus_client.core import (  # noqa: PLC0415  # needed by who asks alone
            CounterMetricFamily,
            HistogramMetricFamily,
        )

        requests = CounterMetricFamily(
            "http_server_requests", "Answered requests.", labels=("method", "rpc", "status")
        )
        durations = HistogramMetricFamily(
            "http_server_request_duration_seconds",
            "Time until the answer begins.",
            labels=("method", "rpc"),
        )
        # Of copies: who asks is another thread.
        known: Mapping[tuple[str, str], _Series] = dict(self._series)
        for labels, series in known.items():
            for status, count in dict(series.by_status).items():
                requests.add_metric((*labels, str(status)), count)
            durations.add_metric(labels, series.buckets(), series.seconds)
        return requests, durations
