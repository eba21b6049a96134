"""Tells of requests: the metrics, the span, a log line, and `x-request-id` in the answer.

    {"event":"request","method":"GET","rpc":"souk.order.v1.OrderService.GetOrder","status":503,..}

Every request is counted. A line is written of those that somebody will look for: failed, slow, or
sampled for a trace; of all others at level `debug`, as the services have a line of each call under
the same request id (docs/decisions/0073). No line holds a path, a query or anything of a body.

The trace begins here, or goes on from the client's `traceparent`, and is handed on with the call.
One that is not sampled costs ids and no span; a client's `traceparent` then goes on as it is, which
W3C Trace Context leaves to who does not record. What nobody foresaw is answered here, as INTERNAL
with an id under which the log has the rest.
"""

import logging
import re
import time
from typing import Final

import structlog
import uuid_utils
from google.rpc import code_pb2, status_pb2
from opentelemetry.trace import Span, StatusCode

from gateway.request_metrics import RequestMetrics
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
from gateway.transcoding.outcome import outcome
from gateway.transcoding.response import write_error
from services.mesh import served_call, traces

_REQUEST_ID: Final = b"x-request-id"
_TRACEPARENT: Final = traces.TRACEPARENT.encode()
_TRACESTATE: Final = b"tracestate"
_READ: Final = frozenset({_REQUEST_ID, _TRACEPARENT, _TRACESTATE})
# RFC 9110 section 9 and RFC 5789; what else a client invents is counted as one.
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CLIENTS_FAULT: Final = 400
_SERVERS_FAULT: Final = 500
_SLOW_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)
_is_request_id = re.compile(r"[!-~]{1,128}").fullmatch


def told(handler: Handler, codec: Codec, metrics: RequestMetrics) -> Handler:
    """Tells of every request that `handler` answers. The log is to be configured before."""
    tells_all = _log.is_enabled_for(logging.DEBUG)

    def handle(request: HttpRequest) -> Answer:
        visit = _Visit(request, codec, metrics, tells_all=tells_all)
        token = served_call.name(visit.request_id)
        try:
            answer = handler(request)
        except ClientGone:
            visit.leave()
            raise
        except Exception as error:  # noqa: BLE001  # the last place that can answer
            answer = visit.unforeseen(error)
        finally:
            served_call.forget(token)
        if isinstance(answer, HttpResponse):
            return visit.told(answer)
        return outcome(answer).then(visit.ended)

    return handle


class _Visit:
    """One request."""

    __slots__ = (
        "_begin",
        "_codec",
        "_metrics",
        "_request",
        "_tells_all",
        "request_id",
        "span",
        "traceparent",
    )

    def __init__(
        self, request: HttpRequest, codec: Codec, metrics: RequestMetrics, *, tells_all: bool
    ) -> None:
        """Begins the span, and gives the request its ids, for the call to have them."""
        self._begin = time.perf_counter()
        self._request = request
        self._codec = codec
        self._metrics = metrics
        self._tells_all = tells_all
        context: dict[str, str] = {}
        request_id = None
        if not _READ.isdisjoint(request.names):
            request_id, context = _take(request)
        self.request_id = request_id or str(uuid_utils.uuid7())
        self.span, self.traceparent = traces.begin(request.method, context)
        request.added += ((traces.TRACEPARENT, self.traceparent), ("x-request-id", self.request_id))

    def ended(self, response: HttpResponse, error: BaseException | None) -> HttpResponse:
        """Takes what came of the request; makes an answer of what nobody foresaw."""
        if error is None:
            return self.told(response)
        if isinstance(error, Exception) and not isinstance(error, ClientGone):
            return self.told(self.unforeseen(error))
        self.leave()
        raise error

    def unforeseen(self, error: Exception) -> HttpResponse:
        """Makes the answer of a request that failed as it should not."""
        with served_call.named(self.request_id):
            _log.error("request failed", error_id=self.request_id, exc_info=error)
        status = status_pb2.Status(
            code=code_pb2.INTERNAL, message=f"internal error, error id {self.request_id}"
        )
        return write_error(StatusError(status), self._request.headers, self._codec)

    def leave(self) -> None:
        """Ends a request that nobody waits for any more."""
        if self.span is not None:
            traces.end(self.span, "CANCELLED", is_error=False)

    def told(self, response: HttpResponse) -> HttpResponse:
        """Tells of the answer, and gives it back."""
        seconds = time.perf_counter() - self._begin
        method, status = self._request.method, response.status
        if method not in _METHODS:
            method = "other"
        response.headers.append((_REQUEST_ID, self.request_id.encode()))
        self._metrics.count(method, response.rpc, status, seconds)
        if self.span is not None:
            _end(self.span, method, response)
        if status >= _CLIENTS_FAULT or seconds >= _SLOW_SECONDS or self.span or self._tells_all:
            self._write_line(method, response, seconds)
        return response

    def _write_line(self, method: str, response: HttpResponse, seconds: float) -> None:
        tell = _log.info
        if response.status >= _SERVERS_FAULT:
            tell = _log.warning
        elif response.status < _CLIENTS_FAULT and seconds < _SLOW_SECONDS and self.span is None:
            tell = _log.debug
        # The answer comes from the network, where nobody knows whose it is.
        with served_call.named(self.request_id):
            tell(
                "request",
                method=method,
                rpc=response.rpc,
                status=response.status,
                duration_ms=round(seconds * 1000, 3),
                trace_id=self.traceparent[3:35],
            )


def _take(request: HttpRequest) -> tuple[str | None, dict[str, str]]:
    """Takes what the client says of the request: its id, if it is good, and its trace."""
    headers = request.headers
    request_id = header(headers, _REQUEST_ID)
    found = ((name.decode(), header(headers, name)) for name in (_TRACEPARENT, _TRACESTATE))
    context = {name: value for name, value in found if value is not None}
    request.replace([each for each in headers if each[0] not in (_REQUEST_ID, _TRACEPARENT)])
    return request_id if request_id and _is_request_id(request_id) else None, context


def _end(span: Span, method: str, response: HttpResponse) -> None:
    """Ends a span as OpenTelemetry's semantic conventions of HTTP have it."""
    span.update_name(f"{method} {response.rpc}".strip())
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", response.status)
    if response.status >= _SERVERS_FAULT:
        span.set_status(StatusCode.ERROR)
    span.end()
