"""What is told of a request: metrics, the line, the span, the ids."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import LogCapture

from gateway import telemetry
from gateway.request_metrics import RequestMetrics
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse
from gateway.transcoding.outcome import Outcome
from services.mesh import served_call, traces
from tests.unit.gateway.protos import codec

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """Gives the lines that are logged at `info` and above."""
    capture = LogCapture()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    yield capture.entries
    structlog.reset_defaults()


async def _nothing() -> AsyncGenerator[bytes, None]:
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk


def request(**headers: str) -> HttpRequest:
    """Makes a request without a body."""
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return HttpRequest(
        method="GET",
        path="/",
        query="",
        headers=list(fields.items()),
        names=fields,
        body=b"",
        chunks=_nothing,
    )


def told(handler: Handler, metrics: RequestMetrics | None = None) -> Handler:
    """Tells of the requests that a handler answers."""
    return telemetry.told(handler, codec(), metrics or RequestMetrics())


def later(response: HttpResponse | Exception) -> Answer:
    """Gives an answer that comes in the next turn of the loop."""
    future: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    if isinstance(response, Exception):
        future.set_exception(response)
    else:
        future.set_result(response)
    return future


async def response_of(answer: Answer) -> HttpResponse:
    """Waits for an answer."""
    return answer if isinstance(answer, HttpResponse) else await answer


@pytest.mark.parametrize(
    ("status", "level"), [(200, None), (304, None), (404, "info"), (499, "info"), (503, "warning")]
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_failures_have_a_line(lines, status, level, is_late):
    """Failed requests have a line, at once or later; those that went well have none."""

    def handler(_: HttpRequest) -> Answer:
        response = HttpResponse(status=status, rpc="a.B.C")
        return later(response) if is_late else response

    await response_of(told(handler)(request()))
    expected = [] if level is None else [("request", "GET", "a.B.C", status, level)]
    names = ("event", "method", "rpc", "status", "log_level")
    assert expected == [tuple(line[name] for name in names) for line in lines]


async def test_slow_requests_have_a_line(lines: list[Any], monkeypatch: pytest.MonkeyPatch):
    """A request that took a second has a line."""
    clock = iter([1.0, 2.5])
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    told(lambda _: HttpResponse(status=200))(request())
    assert [1500.0] == [line["duration_ms"] for line in lines]


@pytest.mark.parametrize("is_late", [False, True])
async def test_what_nobody_foresaw_is_internal(lines: list[Any], is_late: bool):
    """An exception is INTERNAL with an id, under which the log has it, and nothing else."""

    def handler(_: HttpRequest) -> Answer:
        if is_late:
            return later(KeyError("secret"))
        raise KeyError("secret")

    response = await response_of(told(handler)(request(x_request_id="r-1")))
    assert (500, [(b"x-request-id", b"r-1")]) == (response.status, response.headers[-1:])
    assert isinstance(response.body, bytes)
    assert (True, False) == (b"r-1" in response.body, b"secret" in response.body)
    assert ("request failed", "r-1") == (lines[0]["event"], lines[0]["error_id"])


async def test_ids_are_handed_on():
    """The request has one id and one traceparent: the client's, or new ones."""
    seen: list[HttpRequest] = []

    def handler(request: HttpRequest) -> Answer:
        assert served_call.request_id() == dict(request.added)["x-request-id"]
        seen.append(request)
        return HttpResponse(status=200)

    told(handler)(request(x_request_id="r-1", traceparent=SAMPLED))
    told(handler)(request(x_request_id="r 1", traceparent="00-0"))
    given, made = (dict(each.added) for each in seen)
    assert {"x-request-id": "r-1", "traceparent": SAMPLED} == given
    assert [36, 55] == [len(made[name]) for name in ("x-request-id", "traceparent")]
    assert made["traceparent"].endswith("-00")
    assert [[], []] == [each.headers for each in seen]
    assert "" == served_call.request_id()


async def test_requests_are_counted():
    """Answers are counted by method, RPC and status, and their time by method and RPC."""
    metrics = RequestMetrics()
    statuses = iter([200, 200, 404])
    handle = told(lambda _: HttpResponse(status=next(statuses), rpc="a.B.C"), metrics)
    for _ in range(3):
        handle(request())
    requests, durations = metrics.collect()
    counted = {tuple(each.labels.values()): each.value for each in requests.samples}
    assert {("GET", "a.B.C", "200"): 2, ("GET", "a.B.C", "404"): 1} == counted
    totals = [each.value for each in durations.samples if each.labels.get("le") == "+Inf"]
    assert [3] == totals


async def test_a_client_that_leaves_ends_the_span(monkeypatch: pytest.MonkeyPatch):
    """Cancelling the answer cancels the call and ends the span of a sampled request."""
    # OpenTelemetry takes one provider in a process; what is looked at here needs none.
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    memory = InMemorySpanExporter()
    waiting: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    with traces.recording_to(SimpleSpanProcessor(memory), "test", 0.0):
        answer = told(lambda _: waiting)(request(traceparent=SAMPLED))
        assert isinstance(answer, Outcome)
        answer.cancel()
    assert waiting.cancelled()
    assert ["CANCELLED"] == [
        (span.attributes or {})["rpc.grpc.status_code"] for span in memory.get_finished_spans()
    ]
