"""Distributed traces, by OpenTelemetry and W3C Trace Context.

    traceparent = 00-<trace id, 32 hex>-<span id, 16 hex>-<flags, 2 hex>

What began elsewhere is sampled as it was there; what begins here, by SOUK_TRACE_RATIO. Spans go
where OTEL_EXPORTER_OTLP_ENDPOINT says; without it nothing is recorded, nor the SDK imported.
"""

import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.mesh import served_call
from services.mesh.settings import MeshSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from services.mesh.call_span import Recorder

TRACEPARENT = "traceparent"

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_PROPAGATOR = TraceContextTextMapPropagator()
_EMPTY = Context()


@dataclass(slots=True)
class _Recording:
    """What makes spans, and the share of the traces beginning here that it is asked for."""

    recorder: "Recorder | None" = None
    ratio: float = 0.0


_recording = _Recording()


@contextmanager
def recording(name: str, settings: MeshSettings) -> Iterator[None]:
    """Record the spans of the service `name` and send them off; what is left is sent at the end."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    with recording_to(BatchSpanProcessor(OTLPSpanExporter()), name, settings.trace_ratio):
        yield


@contextmanager
def recording_to(processor: "SpanProcessor", name: str, ratio: float) -> Iterator[None]:
    """Record the spans of the service `name` to `processor`.

    The spans of calls come from `call_span`; what is traced besides, by OpenTelemetry's tracers,
    goes the same way.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    from services.mesh.call_span import Recorder  # noqa: PLC0415

    resource = Resource.create({SERVICE_NAME: name})
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(ratio), resource=resource, shutdown_on_exit=False
    )
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    _recording.recorder, _recording.ratio = Recorder(processor, resource), ratio
    try:
        yield
    finally:
        _recording.recorder, _recording.ratio = None, 0.0
        provider.shutdown()


def begin(rpc: str, metadata: Mapping[str, str]) -> tuple[Span | None, str]:
    """Begin the trace of a call that arrived with `metadata`, or go on with the caller's.

    Returns the span, None if the call is not sampled, and the `traceparent` to hand on. A call that
    is not sampled costs no span and no context, just the ids that keep its logs together.
    """
    header = metadata.get(TRACEPARENT)
    parts = _TRACEPARENT.fullmatch(header) if header else None
    recorder = _recording.recorder
    if header is None or parts is None:
        if recorder is None or random.random() >= _recording.ratio:  # noqa: S311  # no secret
            ids = f"{random.getrandbits(192):048x}"
            return None, f"00-{ids[:32]}-{ids[32:]}-00"
        span = recorder.begin(rpc, SpanKind.SERVER, None)
    elif recorder is not None and int(parts[3], 16) & TraceFlags.SAMPLED:
        parent = trace.get_current_span(_PROPAGATOR.extract(metadata, context=_EMPTY))
        span = recorder.begin(rpc, SpanKind.SERVER, parent.get_span_context())
    else:
        return None, header
    return span, traceparent(span) or ""


def client_span(rpc: str) -> Span | None:
    """Return the span of a call to another service, None if what runs now is not sampled."""
    current, recorder = trace.get_current_span(), _recording.recorder
    if recorder is None or not current.is_recording():
        return None
    return recorder.begin(rpc, SpanKind.CLIENT, current.get_span_context())


def end(span: Span, code: str, *, is_error: bool) -> None:
    """End the span of a call with the status code called `code`."""
    if span.is_recording():
        span.set_attribute("rpc.system", "grpc")
        span.set_attribute("rpc.grpc.status_code", code)
        if is_error:
            span.set_status(StatusCode.ERROR)
        span.end()


def traceparent(span: Span) -> str | None:
    """Return the header that makes others continue `span`, None if there is nothing to continue."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_traceparent() -> str:
    """Return the header that makes others continue what runs now, empty if it is in no trace."""
    return traceparent(trace.get_current_span()) or served_call.current().traceparent
