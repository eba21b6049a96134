"""Traces go on from the caller's and begin by the ratio; what is not sampled costs no span."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.mesh import served_call, traces
from services.mesh.served_call import ServedCall

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """Record spans in memory; OpenTelemetry takes one provider in a process."""
    memory = InMemorySpanExporter()
    with traces.recording_to(SimpleSpanProcessor(memory), "test", 0.5):
        yield memory


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """Give an empty memory."""
    exporter.clear()
    return exporter


def finished(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    """Return what was recorded."""
    return list(spans.get_finished_spans())


def test_a_sampled_trace_goes_on(spans: InMemorySpanExporter) -> None:
    """The span of a call is a child of its caller's, and its children are its own."""
    span, header = traces.begin("/rpc", {"traceparent": SAMPLED})
    assert span is not None
    traces.end(span, "OK", is_error=False)
    recorded = finished(spans)[0]
    assert recorded.context is not None
    assert recorded.parent is not None
    assert (TRACE_ID, 0x00F067AA0BA902B7) == (recorded.context.trace_id, recorded.parent.span_id)
    assert header == f"00-{TRACE_ID:032x}-{recorded.context.span_id:016x}-01"


def test_an_unsampled_trace_is_handed_on_as_it_is(spans: InMemorySpanExporter) -> None:
    """What the caller did not sample is not sampled here, and its ids are kept."""
    assert (None, UNSAMPLED) == traces.begin("/rpc", {"traceparent": UNSAMPLED})
    assert finished(spans) == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        SAMPLED.upper(),
        SAMPLED + "-more",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
@pytest.mark.usefixtures("spans")
def test_a_broken_header_begins_a_trace(header: str) -> None:
    """A `traceparent` that breaks its grammar is no parent."""
    _, own = traces.begin("/rpc", {"traceparent": header})
    assert own[3:35] not in header.lower()
    assert len(own) == len(SAMPLED)


@pytest.mark.usefixtures("spans")
def test_what_begins_here_is_sampled_by_the_ratio() -> None:
    """About the ratio of the traces that begin here are recorded, each with ids of its own."""
    begun = [traces.begin("/rpc", {}) for _ in range(400)]
    sampled = [header for span, header in begun if span is not None]
    assert 120 < len(sampled) < 280
    assert all(int(header[-2:], 16) & 1 for header in sampled)
    assert len({header for _, header in begun}) == 400


def test_calls_to_others_are_children(spans: InMemorySpanExporter) -> None:
    """A call made for a sampled call has a span of its own below it."""
    span, _ = traces.begin("/rpc", {"traceparent": SAMPLED})
    assert span is not None
    token = attach(trace.set_span_in_context(span))
    child = traces.client_span("/other")
    detach(token)
    assert child is not None
    traces.end(child, "OK", is_error=False)
    parent = finished(spans)[0].parent
    assert parent is not None
    assert span.get_span_context().span_id == parent.span_id


def test_calls_to_others_of_an_unsampled_call_hand_on_its_trace() -> None:
    """A call made for an unsampled call has no span, but the same trace."""
    served_call.begin(ServedCall("id", {}, UNSAMPLED))
    assert (None, UNSAMPLED) == (traces.client_span("/other"), traces.current_traceparent())
    served_call.begin(ServedCall())


def test_spans_outside_of_a_call_follow_the_ratio(spans: InMemorySpanExporter) -> None:
    """What a worker begins is sampled by the ratio too."""
    tracer = trace.get_tracer("test")
    for _ in range(400):
        tracer.start_span("work").end()
    assert 120 < len(finished(spans)) < 280
