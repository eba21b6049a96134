"""Which traces are recorded; imported only where some are."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context, get_value, set_value
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

_DECIDED = "souk-sampled"


def decided() -> Context:
    """Return the context of a trace that begins and is to be recorded, whatever the ratio."""
    return set_value(_DECIDED, value=True, context=Context())


class MeshSampler(Sampler):
    """Follows the parent; what begins here is recorded if that is decided, else by the ratio."""

    def __init__(self, ratio: float) -> None:
        self._by_ratio = ParentBasedTraceIdRatio(ratio)

    def should_sample(  # noqa: PLR0917  # as OpenTelemetry has it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision, as OpenTelemetry asks for it."""
        arguments: tuple[Any, ...] = (trace_id, name, kind, attributes, links, trace_state)
        is_decided = get_value(_DECIDED, parent_context) if parent_context is not None else None
        sampler: Sampler = ALWAYS_ON if is_decided else self._by_ratio
        return sampler.should_sample(parent_context, *arguments)

    def get_description(self) -> str:
        """Return the sampler's name."""
        return "MeshSampler"
