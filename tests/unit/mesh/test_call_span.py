"""The span of a call: exporters are told what the SDK would tell, and nothing from inside."""

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from services.mesh.call_span import Recorder

PARENT = SpanContext(
    0x4BF92F3577B34DA6A3CE929D0E0E4736,
    0x00F067AA0BA902B7,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
    trace_state=TraceState([("vendor", "1")]),
)


class Recorded:
    """A span that has begun, and what is recorded of it."""

    def __init__(self, parent: SpanContext | None = PARENT) -> None:
        self._memory = InMemorySpanExporter()
        recorder = Recorder(SimpleSpanProcessor(self._memory), Resource({"service.name": "echo"}))
        self.span: Span = recorder.begin("/rpc", SpanKind.SERVER, parent)

    def spans(self) -> list[ReadableSpan]:
        """Return what was exported."""
        return list(self._memory.get_finished_spans())


def test_a_span_is_recorded_when_it_ends() -> None:
    """Name, kind, place in the trace, attributes, status and times are exported, once."""
    recorded = Recorded()
    span = recorded.span
    span.set_attribute("rpc.system", "grpc")
    span.set_status(StatusCode.ERROR)
    assert recorded.spans() == []
    span.end()
    span.end()
    (exported,) = recorded.spans()
    assert exported.context is not None
    assert exported.start_time is not None
    assert exported.end_time is not None
    assert ("/rpc", SpanKind.SERVER, PARENT, {"rpc.system": "grpc"}, StatusCode.ERROR) == (
        exported.name,
        exported.kind,
        exported.parent,
        dict(exported.attributes or {}),
        exported.status.status_code,
    )
    assert (PARENT.trace_id, PARENT.trace_state) == (
        exported.context.trace_id,
        exported.context.trace_state,
    )
    assert exported.start_time <= exported.end_time


def test_it_records_until_it_ends() -> None:
    """Who holds the span can ask whether it is worth adding to."""
    span = Recorded().span
    before = span.is_recording()
    span.end()
    assert (True, False) == (before, span.is_recording())


def test_a_span_without_a_parent_begins_a_trace() -> None:
    """Its ids are new, and those who are handed them sample too."""
    contexts = [Recorded(None).span.get_span_context() for _ in range(2)]
    assert len({context.trace_id for context in contexts}) == 2
    assert all(context.is_valid and context.trace_flags.sampled for context in contexts)


def test_an_exception_is_told_by_its_type_alone() -> None:
    """The message of an exception may hold what nobody may read."""
    recorded = Recorded()
    recorded.span.record_exception(RuntimeError("hush"))
    recorded.span.end()
    event = recorded.spans()[0].events[0]
    assert ("exception", {"exception.type": "RuntimeError"}) == (
        event.name,
        dict(event.attributes or {}),
    )


@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.INTERNAL])
def test_a_span_can_be_sent(code: grpc.StatusCode) -> None:
    """OTLP has everything of it."""
    recorded = Recorded()
    recorded.span.set_attributes({"rpc.grpc.status_code": code.name})
    recorded.span.add_event("noted")
    recorded.span.update_name("/other")
    recorded.span.end()
    sent = encode_spans(recorded.spans()).resource_spans[0].scope_spans[0].spans[0]
    assert ("/other", "noted", code.name) == (
        sent.name,
        sent.events[0].name,
        sent.attributes[0].value.string_value,
    )
