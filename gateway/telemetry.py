"""Tells of every request: one log line, the metrics, the span, and `x-request-id` in the answer.

    {"event":"request","method":"GET","rpc":"souk.order.v1.OrderService.GetOrder","status":200,..}
    http_server_requests_total            method, rpc, status
    http_server_request_duration_seconds  method, rpc

No line holds a path, a query or anything of a body. The trace begins here, or goes on from the
client's `traceparent`, and is handed on with the call. What nobody foresaw is answered here, as
INTERNAL with an id under which the log has the rest.
"""

import asyncio
import re
import time
from functools import cache
from typing import Final

import structlog
import uuid_utils
from google.rpc import code_pb2, status_pb2
from opentelemetry import trace
from opentelemetry.trace import Span
from prometheus_client import Counter, Histogram

from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import StatusError
from gateway.transcoding.http import (
    Answer,
    ClientGone,
    Handler,
    HttpRequest,
    HttpResponse,
    header,
)
from gateway.transcoding.response import write_error
from services.mesh import served_call, traces

_REQUEST_ID: Final = b"x-request-id"
_TRACEPARENT: Final = traces.TRACEPARENT.encode()
# RFC 9110 section 9 and RFC 5789; what else a client invents is counted as one.
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CLIENTS_FAULT: Final = 400
_SERVERS_FAULT: Final = 500

_REQUESTS = Counter("http_server_requests", "Answered requests.", ("method", "rpc", "status"))
_SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "Time until the answer begins.",
    ("method", "rpc"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_log = structlog.get_logger(__name__)
_is_request_id = re.compile(r"[!-~]{1,128}").fullmatch


def told(handler: Handler, codec: Codec) -> Handler:
    """Tells of every request that `handler` answers."""

    def handle(request: HttpRequest) -> Answer:
        return asyncio.get_running_loop().create_task(answer(request))

    async def answer(request: HttpRequest) -> HttpResponse:
        begin = time.perf_counter()
        request_id = _request_id(request)
        served_call.name(request_id)
        span = traces.server_span(request.method, _context(request))
        _hand_on(request, request_id, span)
        try:
            given = handler(request)
            response = given if isinstance(given, HttpResponse) else await given
        except (ClientGone, asyncio.CancelledError):
            traces.end(span, "CANCELLED", is_error=False)
            raise
        except Exception as error:  # noqa: BLE001  # the last place that can answer
            response = _unforeseen(error, request, request_id, codec)
        response.headers.append((_REQUEST_ID, request_id.encode()))
        _tell(request, response, span, time.perf_counter() - begin)
        return response

    return handle


def _request_id(request: HttpRequest) -> str:
    given = header(request.headers, _REQUEST_ID)
    return given if given and _is_request_id(given) else str(uuid_utils.uuid7())


def _context(request: HttpRequest) -> dict[str, str]:
    names = (traces.TRACEPARENT, "tracestate")
    found = ((name, header(request.headers, name.encode())) for name in names)
    return {name: value for name, value in found if value is not None}


def _hand_on(request: HttpRequest, request_id: str, span: Span) -> None:
    kept = [item for item in request.headers if item[0] not in (_REQUEST_ID, _TRACEPARENT)]
    parent = traces.traceparent(span)
    if parent is not None:
        kept.append((_TRACEPARENT, parent.encode()))
    request.headers[:] = [*kept, (_REQUEST_ID, request_id.encode())]


def _unforeseen(
    error: Exception, request: HttpRequest, request_id: str, codec: Codec
) -> HttpResponse:
    _log.error("request failed", error_id=request_id, exc_info=error)
    status = status_pb2.Status(
        code=code_pb2.INTERNAL, message=f"internal error, error id {request_id}"
    )
    return write_error(StatusError(status), request.headers, codec)


@cache
def _series(method: str, rpc: str, status: int) -> tuple[Counter, Histogram]:
    """Gives the two series of an answer; there are as many as RPCs, methods and statuses."""
    return _REQUESTS.labels(method, rpc, str(status)), _SECONDS.labels(method, rpc)


def _tell(request: HttpRequest, response: HttpResponse, span: Span, seconds: float) -> None:
    method = request.method if request.method in _METHODS else "other"
    requests, duration = _series(method, response.rpc, response.status)
    requests.inc()
    duration.observe(seconds)
    is_error = response.status >= _SERVERS_FAULT
    if span.is_recording():
        span.update_name(f"{method} {response.rpc}".strip())
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.response.status_code", response.status)
        if is_error:
            span.set_status(trace.StatusCode.ERROR)
        span.end()
    # Probes and pages are not worth a line each.
    quiet = _log.debug if not response.rpc and response.status < _CLIENTS_FAULT else _log.info
    tell = _log.warning if is_error else quiet
    tell(
        "request",
        method=method,
        rpc=response.rpc,
        status=response.status,
        duration_ms=round(seconds * 1000, 3),
        trace_id=traces.trace_id(span),
    )
