"""What Prometheus reads of a process, under the names that gRPC dashboards know.

    grpc_server_handled_total     grpc_type, grpc_service, grpc_method, grpc_code
    grpc_server_handling_seconds  histogram
    grpc_server_in_flight         calls being served now, by all methods
    grpc_client_handled_total     calls to other services that one message answers, with grpc_code
    grpc_client_handling_seconds  histogram

The names are those of the gRPC Go middleware; `grpc_code` is its CamelCase, like `NotFound`.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from google.rpc import code_pb2
from prometheus_client import REGISTRY, Gauge, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from services.mesh.address import CannotListen, host_and_port

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
_CODES = {
    name: "OK" if name == "OK" else name.title().replace("_", "")
    for name in code_pb2.Code.keys()  # noqa: SIM118  # no dict
}

_IN_FLIGHT = Gauge("grpc_server_in_flight", "Calls being served now.")


class CallMetrics:
    """What is counted of one RPC.

    Plain numbers that are read when somebody asks, since a counter and a histogram of the library
    cost each call more (docs/decisions/0012). Only the loop's thread writes them.
    """

    __slots__ = ("_by_bucket", "_by_code", "_seconds")

    def __init__(self) -> None:
        self._by_code = {"OK": 0}
        self._by_bucket = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def end(self, code: str, seconds: float) -> None:
        """Count a call that ended with the status code called `code`."""
        self._by_code[code] = self._by_code.get(code, 0) + 1
        self._by_bucket[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def add_to(
        self,
        labels: tuple[str, ...],
        handled: CounterMetricFamily,
        handling: HistogramMetricFamily,
    ) -> None:
        """Add the numbers; each bucket holds those below it too, as Prometheus wants it."""
        for code, count in dict(self._by_code).items():
            handled.add_metric((*labels, _CODES[code]), count)
        total, buckets = 0, []
        for bound, count in zip((*BOUNDS, "+Inf"), self._by_bucket, strict=True):
            total += count
            buckets.append((str(bound), total))
        handling.add_metric(labels, buckets, self._seconds)


class _Calls(Collector):
    """The metrics of all RPCs of one side, "server" or "client"."""

    def __init__(self, side: str) -> None:
        self._prefix = f"grpc_{side}"
        self._by_labels: dict[tuple[str, ...], CallMetrics] = {}

    def of(self, kind: str, service: str, name: str) -> CallMetrics:
        """Return the metrics of an RPC, always the same."""
        return self._by_labels.setdefault((kind, service, name), CallMetrics())

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        handled = CounterMetricFamily(
            f"{self._prefix}_handled", "Calls that ended.", labels=(*_LABELS, "grpc_code")
        )
        handling = HistogramMetricFamily(
            f"{self._prefix}_handling_seconds", "How long calls took.", labels=_LABELS
        )
        for labels, metrics in dict(self._by_labels).items():
            metrics.add_to(labels, handled, handling)
        return handled, handling


_SERVER, _CLIENT = _Calls("server"), _Calls("client")
REGISTRY.register(_SERVER)
REGISTRY.register(_CLIENT)

server_calls = _SERVER.of
client_calls = _CLIENT.of


def count_in_flight(count: Callable[[], int]) -> None:
    """Ask `count` for the calls being served whenever somebody reads the metrics."""
    _IN_FLIGHT.set_function(count)


class _Others(Collector):
    """What somebody else counts."""

    def __init__(self, ask: Callable[[], Iterable[Metric]]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        return self._ask()


def publish(collect: Callable[[], Iterable[Metric]]) -> None:
    """Ask `collect` for more metrics whenever somebody reads them."""
    REGISTRY.register(_Others(collect))


@asynccontextmanager
async def listening(address: str | None) -> AsyncIterator[int | None]:
    """Serve `/metrics` over HTTP in a thread of its own; yields the port, None if not asked to.

    Raises CannotListen.
    """
    if address is None:
        yield None
        return
    host, port = host_and_port(address)
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror}") from error
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
