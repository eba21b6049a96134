"""Tells of every call: one log line, the metrics, the span.

    {"event":"call","rpc":"/…/GetOrder","code":"OK","duration_ms":1.9,"caller":"gateway",
     "subject":"0190…","request_id":"0193…","trace_id":"4bf9…"}

No line holds anything of a message. Metadata read: `x-request-id`, `traceparent`, `tracestate`.
"""

import re
import time
from typing import Any

import grpc
import structlog
import uuid_utils
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span

from services.mesh import served_call, traces
from services.mesh.identity import caller
from services.mesh.interceptors import Context, Handler
from services.mesh.metrics import ServerMetrics
from services.mesh.policy import Method

REQUEST_ID = "x-request-id"

_log = structlog.get_logger(__name__)
_SERVERS_FAULT = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_is_request_id = re.compile(r"[!-~]{1,128}").fullmatch


def telemetry(method: Method, handler: Handler) -> Handler:
    """Log, count and trace each call; give it its request id."""
    metrics = ServerMetrics(method)
    rpc = method.path

    async def handle(request: Any, context: Context) -> Any:
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        served_call.name(_request_id(metadata))
        span = traces.server_span(rpc, metadata)
        otel.attach(trace.set_span_in_context(span))
        code = "OK"
        metrics.begin()
        begin = time.perf_counter()
        try:
            return await handler(request, context)
        except Exception:
            code = _code(context)
            raise
        except BaseException:
            code = "CANCELLED"
            raise
        finally:
            seconds = time.perf_counter() - begin
            metrics.end(code, seconds)
            traces.end(span, code, is_error=code in _SERVERS_FAULT)
            _tell(rpc, code, seconds, span)

    return handle


def _request_id(metadata: dict[str, Any]) -> str:
    """Return the id that the caller gave if it is printable and short, else a new one."""
    given = metadata.get(REQUEST_ID)
    return given if given and _is_request_id(given) else str(uuid_utils.uuid7())


def _code(context: Context) -> str:
    """Return the name of the status that ended the call; grpc.aio keeps its number."""
    code: Any = context.code()
    return _CODE_NAMES.get(code) or str(code.name)


def _tell(rpc: str, code: str, seconds: float, span: Span) -> None:
    who = caller()
    tell = _log.warning if code in _SERVERS_FAULT else _log.info
    tell(
        "call",
        rpc=rpc,
        code=code,
        duration_ms=round(seconds * 1000, 3),
        caller=who.service,
        subject=who.subject,
        trace_id=traces.trace_id(span),
    )
