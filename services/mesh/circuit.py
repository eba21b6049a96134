"""The circuit breaker of a channel, in gRPC's terms."""

from datetime import timedelta
from typing import Final

import grpc
import grpc.aio
from prometheus_client import Gauge

from services.mesh.circuit_breaker import CircuitBreaker, CircuitOpen
from services.mesh.status import DETAILS_KEY, status_from_error

_OPEN: Final = Gauge("souk_circuit_open", "Whether calls to a service are held back.", ("service",))


class Circuit:
    """The calls to the service called `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._breaker = CircuitBreaker()
        self.succeeded = self._breaker.succeeded
        self.ended = self._breaker.ended
        _OPEN.labels(name).set_function(lambda: self._breaker.is_open)

    def check(self) -> None:
        """Raise grpc.aio.AioRpcError, UNAVAILABLE, if no call may be made now."""
        if self._breaker.allows():
            return
        error = CircuitOpen(
            f"{self._name} has not answered for a while",
            retry_after=timedelta(seconds=self._breaker.seconds_left()),
        )
        details = status_from_error(error, f"{self._name}.souk").SerializeToString()
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE,
            grpc.aio.Metadata(),
            grpc.aio.Metadata((DETAILS_KEY, details)),
            error.message,
        )
