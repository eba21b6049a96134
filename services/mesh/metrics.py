"""What Prometheus reads of a process, under the names that gRPC dashboards know.

    grpc_server_started_total     grpc_type, grpc_service, grpc_method
    grpc_server_handled_total     … and grpc_code
    grpc_server_handling_seconds  histogram
    grpc_server_in_flight         calls being served now
    grpc_client_handled_total     calls to other services, with grpc_code
    grpc_client_handling_seconds  histogram

The names are those of the gRPC Go middleware; `grpc_code` is its CamelCase, like `NotFound`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from services.mesh.address import host_and_port
from services.mesh.policy import Method

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_STARTED = Counter("grpc_server_started", "Calls that began.", _LABELS)
_HANDLED = Counter("grpc_server_handled", "Calls that ended.", (*_LABELS, "grpc_code"))
_SECONDS = Histogram("grpc_server_handling_seconds", "Time to serve.", _LABELS, buckets=_BUCKETS)
_IN_FLIGHT = Gauge("grpc_server_in_flight", "Calls being served now.", _LABELS)
_SENT = Counter("grpc_client_handled", "Calls to others that ended.", (*_LABELS, "grpc_code"))
_WAITED = Histogram(
    "grpc_client_handling_seconds", "Time until answered.", _LABELS, buckets=_BUCKETS
)

_CODES = {
    code.name: "OK" if code.name == "OK" else code.name.title().replace("_", "")
    for code in grpc.StatusCode
}


class ServerMetrics:
    """The metrics of one RPC that is served here; their series exist from the start."""

    __slots__ = ("_handled", "_in_flight", "_labels", "_seconds", "_started")

    def __init__(self, method: Method) -> None:
        self._labels = (method.kind, method.service, method.name)
        self._started = _STARTED.labels(*self._labels)
        self._in_flight = _IN_FLIGHT.labels(*self._labels)
        self._seconds = _SECONDS.labels(*self._labels)
        self._handled = {"OK": _HANDLED.labels(*self._labels, "OK")}

    def begin(self) -> None:
        """Count a call that begins."""
        self._started.inc()
        self._in_flight.inc()

    def end(self, code: str, seconds: float) -> None:
        """Count a call that ended with the status code called `code`."""
        self._in_flight.dec()
        self._seconds.observe(seconds)
        if code not in self._handled:
            self._handled[code] = _HANDLED.labels(*self._labels, _CODES[code])
        self._handled[code].inc()


class ClientMetrics:
    """The metrics of one RPC that is called elsewhere."""

    __slots__ = ("_handled", "_labels", "_seconds")

    def __init__(self, kind: str, service: str, name: str) -> None:
        self._labels = (kind, service, name)
        self._seconds = _WAITED.labels(*self._labels)
        self._handled: dict[str, Counter] = {}

    def end(self, code: str, seconds: float) -> None:
        """Count a call that was answered with the status code called `code`."""
        self._seconds.observe(seconds)
        if code not in self._handled:
            self._handled[code] = _SENT.labels(*self._labels, _CODES[code])
        self._handled[code].inc()


@asynccontextmanager
async def listening(address: str | None) -> AsyncIterator[int | None]:
    """Serve `/metrics` over HTTP in a thread of its own; yields the port, None if not asked to."""
    if address is None:
        yield None
        return
    host, port = host_and_port(address)
    server, thread = start_http_server(port, host)
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
