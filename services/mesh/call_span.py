"""The recorded span of a call; imported only where spans are recorded.

It does what OpenTelemetry's API says of a span at a sixth of the cost of the SDK's own: limits,
sampling and locks are not paid by each call (docs/decisions/0012). What comes out at the end is the
SDK's `ReadableSpan`, for its processors and exporters.
"""

import os
import time
from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

_SCOPE = InstrumentationScope("services.mesh")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


class Recorder:
    """Makes the spans of a process and gives them to the `processor` when they end."""

    def __init__(self, processor: SpanProcessor, resource: Resource) -> None:
        self._processor = processor
        self._resource = resource

    def begin(self, name: str, kind: SpanKind, parent: SpanContext | None) -> Span:
        """Return a span that begins now, in the parent's trace or in a new one."""
        span_id = int.from_bytes(os.urandom(8), "big")
        if parent is None:
            trace_id = int.from_bytes(os.urandom(16), "big")
            context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=_SAMPLED)
        else:
            context = SpanContext(
                parent.trace_id,
                span_id,
                is_remote=False,
                trace_flags=parent.trace_flags,
                trace_state=parent.trace_state,
            )
        return CallSpan(self, name, kind, context, parent)

    def finish(self, span: "CallSpan", end_time: int) -> None:
        """Take a span that has ended."""
        self._processor.on_end(span.readable(self._resource, end_time))


class CallSpan(Span):
    """A span that keeps plain values until it ends."""

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
    ) -> None:
        self._recorder: Recorder | None = recorder
        self._name = name
        self._kind = kind
        self._context = context
        self._parent = parent
        self._attributes: dict[str, AttributeValue] = {}
        self._events: list[Event] = []
        self._status = _UNSET
        self._start_time = time.time_ns()

    def get_span_context(self) -> SpanContext:
        """Return the ids."""
        return self._context

    def is_recording(self) -> bool:
        """Say whether it has not ended."""
        return self._recorder is not None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes."""
        self._attributes.update(attributes)

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """Note that something happened."""
        self._events.append(Event(name, attributes, timestamp))

    def update_name(self, name: str) -> None:
        """Give it another name."""
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say whether the call failed."""
        self._status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: ARG002, FBT001, FBT002  # as OpenTelemetry has it
    ) -> None:
        """Note an exception by its type alone: its message may hold what nobody may read."""
        name = type(exception).__qualname__
        self.add_event("exception", {**(attributes or {}), "exception.type": name}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End it, once."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.finish(self, time.time_ns() if end_time is None else end_time)

    def readable(self, resource: Resource, end_time: int) -> ReadableSpan:
        """Return what exporters read."""
        return ReadableSpan(
            name=self._name,
            context=self._context,
            parent=self._parent,
            resource=resource,
            attributes=self._attributes,
            events=self._events,
            kind=self._kind,
            instrumentation_scope=_SCOPE,
            status=self._status,
            start_time=self._start_time,
            end_time=end_time,
        )
