"""Refuses calls that the process has no room for, before anything is spent on them.

What is refused may be repeated by whoever may repeat it at all (`service_config`), and says when:
`RetryInfo`, and `grpc-retry-pushback-ms` for gRPC's own retries (gRFC A6). Streams take no room, as
they mostly wait; a new one is refused like any call. A call gives its room back while it waits for
somebody else's work (`services.mesh.room`).
"""

import time
from datetime import timedelta
from typing import Any, Final

from prometheus_client import Counter, Gauge

from services.mesh import served_call
from services.mesh.concurrency_limit import (
    ConcurrencyLimit,
    Overloaded,
    UsualTime,
    come_back_seconds,
)
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method
from services.mesh.room import Room

_SHED: Final = Counter(
    "souk_calls_shed", "Calls refused for want of room.", ("grpc_service", "grpc_method")
)
_LIMIT: Final = Gauge("souk_concurrency_limit", "Calls that may be served at once now.")


def admission(limit: ConcurrencyLimit) -> Interceptor:
    """Return the interceptor that keeps the calls under way within `limit`. Raises Overloaded."""
    _LIMIT.set_function(lambda: limit.limit)

    def interceptor(method: Method, handler: Handler) -> Handler:
        shed = _SHED.labels(method.service, method.name)
        priority = method.priority
        usual = UsualTime(method.deadline)
        takes_room = method.kind == "unary"

        async def handle(request: Any, context: Context) -> Any:
            if not limit.admits(priority):
                shed.inc()
                raise overloaded()
            if not takes_room:
                return await handler(request, context)
            limit.begin()
            room = served_call.current().room = Room(limit)
            begin = time.perf_counter()
            try:
                return await handler(request, context)
            finally:
                limit.end(usual, time.perf_counter() - begin - room.waited_seconds)

        return handle

    return interceptor


def overloaded() -> Overloaded:
    """Return the refusal, which says when to come back."""
    return Overloaded("too much to do now", retry_after=timedelta(seconds=come_back_seconds()))
