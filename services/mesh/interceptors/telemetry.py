"""Tells of every call: one log line, the metrics, the span.

    {"event":"call","rpc":"/…/GetOrder","code":"OK","duration_ms":1.9,"caller":"gateway",
     "subject":"0190…","request_id":"0193…","trace_id":"4bf9…"}

No line holds anything of a message. Metadata read: `x-request-id`, `traceparent`, `tracestate`.
"""

import re
import time
from typing import Any

import grpc
from opentelemetry import context as otel
from opentelemetry import trace

from services.mesh import logs, metrics, served_call, traces
from services.mesh.identity import caller
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method
from services.mesh.served_call import ServedCall

REQUEST_ID = "x-request-id"

_SERVERS_FAULT = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_is_request_id = re.compile(r"[!-~]{1,128}").fullmatch


def telemetry(method: Method, handler: Handler) -> Handler:
    """Log, count and trace each call; give it its request id."""
    counts = metrics.server_calls(method.kind, method.service, method.name)
    rpc = method.path
    tell = logs.call_log(rpc)

    async def handle(request: Any, context: Context) -> Any:
        metadata = served_call.arrived()
        span, traceparent = traces.begin(rpc, metadata)
        if span is not None:
            otel.attach(trace.set_span_in_context(span))
        call = ServedCall(_request_id(metadata, traceparent), metadata, traceparent, rpc)
        served_call.begin(call)
        code = "OK"
        begin = time.perf_counter()
        try:
            return await handler(request, context)
        except Exception:
            code = _code(context)
            raise
        except BaseException:
            code = _cancellation(call)
            raise
        finally:
            seconds = time.perf_counter() - begin
            is_fault = code in _SERVERS_FAULT
            counts.end(code, seconds)
            if span is not None:
                traces.end(span, code, is_error=is_fault)
            tell(call, caller(), code, seconds, is_fault=is_fault)

    return handle


def _request_id(metadata: dict[str, str], traceparent: str) -> str:
    """Return the id that the caller gave if it is printable and short, else the trace's."""
    given = metadata.get(REQUEST_ID)
    return given if given and _is_request_id(given) else traceparent[3:35]


def _code(context: Context) -> str:
    """Return the name of the status that ended the call; grpc.aio keeps its number."""
    code: Any = context.code()
    return _CODE_NAMES.get(code) or str(code.name)


def _cancellation(call: ServedCall) -> str:
    """Return what the client sees of a cancelled call."""
    is_late = call.expiry is not None and call.expiry <= time.monotonic()
    return "DEADLINE_EXCEEDED" if is_late else "CANCELLED"
