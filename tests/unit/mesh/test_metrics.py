"""Metrics have the standard names, and count what happened."""

import asyncio
import urllib.request

from prometheus_client import REGISTRY

from services.mesh import metrics

LABELS = {"grpc_type": "unary", "grpc_service": "souk.test.v1.Test", "grpc_method": "Call"}


def value(name: str, **labels: str) -> float | None:
    """Return a sample as Prometheus would read it."""
    return REGISTRY.get_sample_value(name, LABELS | labels)


def read(url: str) -> str:
    """Return what an HTTP server answers."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own, on loopback
        return str(answer.read().decode())


async def test_calls_are_counted_and_timed() -> None:
    """A call counts under its code and in every bucket that is not shorter than it was."""
    counts = metrics.server_calls("unary", "souk.test.v1.Test", "Call")
    counts.end("OK", 0.004)
    counts.end("NOT_FOUND", 0.3)
    name = "grpc_server_handling_seconds"
    actual = (
        value("grpc_server_handled_total", grpc_code="OK"),
        value("grpc_server_handled_total", grpc_code="NotFound"),
        value(f"{name}_bucket", le="0.0025"),
        value(f"{name}_bucket", le="0.005"),
        value(f"{name}_bucket", le="0.5"),
        value(f"{name}_bucket", le="+Inf"),
        value(f"{name}_count"),
        value(f"{name}_sum"),
    )
    assert actual == (1, 1, 0, 1, 2, 2, 2, 0.304)


async def test_metrics_are_served_over_http() -> None:
    """Prometheus reads them at `/metrics`."""
    metrics.client_calls("unary", "souk.test.v1.Test", "Other").end("OK", 0.1)
    async with metrics.listening("127.0.0.1:0") as port:
        text = await asyncio.to_thread(read, f"http://127.0.0.1:{port}/metrics")
    assert 'grpc_client_handled_total{grpc_code="OK",grpc_method="Other"' in text


async def test_without_an_address_nothing_listens() -> None:
    """A process that is not asked to serves no metrics."""
    async with metrics.listening(None) as port:
        assert port is None
