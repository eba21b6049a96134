"""Grafana's dashboards as code: `charts/monitoring/dashboards/<name>.json`.

    rpcs     every RPC of the contracts with what it promises: calls, failures, time, budget
    orders   from checkout to notification: orders, sagas, events, payments
    mesh     processes: memory, load, limits, pools, certificates

A dashboard is rows of panels, a panel a title, a unit and its queries by legend.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.local import contract
from services.local.derived.deriver import Deriver

_WIDTH, _HEIGHT = 24, 8
_SCHEMA_VERSION = 39
_CALLS = "grpc_server_handled_total"
_SECONDS = "grpc_server_handling_seconds_bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph: what it shows, in which unit of Grafana's, and queries by their legend."""

    title: str
    unit: str
    queries: Mapping[str, str]


def files() -> Mapping[str, str]:
    """Returns the dashboards by path."""
    dashboards = {"rpcs": ("RPCs", _rpcs()), "orders": ("Orders", _ORDERS), "mesh": ("Mesh", _MESH)}
    return {
        f"charts/monitoring/dashboards/{name}.json": _text(name, title, rows)
        for name, (title, rows) in dashboards.items()
    }


def _rpcs() -> Mapping[str, list[Panel]]:
    """Returns a row for each gRPC service of the contracts."""
    services = sorted({rpc.service for rpc in contract.rpcs()})
    return {service: _of_service(service) for service in services}


def _of_service(service: str) -> list[Panel]:
    those = f'grpc_service="{service}"'
    by = "sum by (grpc_method)"
    return [
        Panel(
            title="Calls",
            unit="reqps",
            queries={"{{grpc_method}}": f"{by} (rate({_CALLS}{{{those}}}[$__rate_interval]))"},
        ),
        Panel(
            title="Calls that did not end well",
            unit="reqps",
            queries={
                "{{grpc_method}} {{grpc_code}}": (
                    "sum by (grpc_method, grpc_code)"
                    f' (rate({_CALLS}{{{those}, grpc_code!="OK"}}[$__rate_interval]))'
                )
            },
        ),
        Panel(
            title="99 of 100 are answered within",
            unit="s",
            queries={
                "{{grpc_method}}": (
                    "histogram_quantile(0.99, sum by (grpc_method, le)"
                    f" (rate({_SECONDS}{{{those}}}[$__rate_interval])))"
                )
            },
        ),
        Panel(
            title="Budget used, times as fast as promised",
            unit="none",
            queries={
                "{{grpc_method}} errors": f"souk:rpc_error_burn:1h{{{those}}}",
                "{{grpc_method}} latency": f"souk:rpc_latency_burn:1h{{{those}}}",
            },
        ),
    ]


_ORDERS: Mapping[str, list[Panel]] = {
    "Orders": [
        Panel(
            title="Orders settled",
            unit="cpm",
            queries={"{{state}}": "sum by (state) (rate(souk_orders_settled_total[5m])) * 60"},
        ),
        Panel(
            title="Orders under way",
            unit="none",
            queries={"{{state}}": "max by (state) (souk_sagas_in_flight)"},
        ),
        Panel(
            title="Oldest order under way",
            unit="s",
            queries={"{{state}}": "max by (state) (souk_saga_oldest_seconds)"},
        ),
        Panel(title="Stuck orders", unit="none", queries={"stuck": "max(souk_sagas_stuck)"}),
    ],
    "Events": [
        Panel(
            title="Not yet published",
            unit="none",
            queries={"{{stream}}": "max by (stream) (souk_outbox_unpublished_events)"},
        ),
        Panel(
            title="Waiting to be published, to be handled",
            unit="s",
            queries={
                "outbox": "max(souk_outbox_lag_seconds)",
                "consumer": "max(souk_consumer_lag_seconds)",
            },
        ),
        Panel(title="Dead letters", unit="none", queries={"": "max(souk_dead_letters)"}),
        Panel(
            title="Notifications to be sent",
            unit="none",
            queries={"pending": "max(souk_deliveries_pending)"},
        ),
    ],
    "Payments": [
        Panel(
            title="Without an answer from the provider",
            unit="none",
            queries={"payments": "max(souk_payments_unanswered)"},
        ),
        Panel(
            title="Discrepancies",
            unit="none",
            queries={"{{type}}": "max by (type) (souk_payment_discrepancies)"},
        ),
    ],
}

_MESH: Mapping[str, list[Panel]] = {
    "Load": [
        Panel(
            title="Calls being served",
            unit="none",
            queries={
                "{{job}}": "sum by (job) (grpc_server_in_flight)",
                "{{job}} limit": "sum by (job) (souk_concurrency_limit)",
            },
        ),
        Panel(
            title="Calls refused for want of room",
            unit="reqps",
            queries={"{{job}}": "sum by (job) (rate(souk_calls_shed_total[$__rate_interval]))"},
        ),
        Panel(
            title="Circuits that are open",
            unit="none",
            queries={"{{job}} to {{service}}": "max by (job, service) (souk_circuit_open)"},
        ),
    ],
    "Gateway": [
        Panel(
            title="Requests",
            unit="reqps",
            queries={
                "{{status}}": (
                    "sum by (status) (rate(http_server_requests_total[$__rate_interval]))"
                )
            },
        ),
        Panel(
            title="99 of 100 are answered within",
            unit="s",
            queries={
                "{{method}}": (
                    "histogram_quantile(0.99, sum by (method, le)"
                    " (rate(http_server_request_duration_seconds_bucket[$__rate_interval])))"
                )
            },
        ),
    ],
    "Processes": [
        Panel(
            title="Memory",
            unit="bytes",
            queries={"{{job}}": "max by (job) (process_resident_memory_bytes)"},
        ),
        Panel(
            title="CPU",
            unit="none",
            queries={"{{job}}": "sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))"},
        ),
        Panel(
            title="Database connections",
            unit="none",
            queries={
                "{{job}} {{state}}": "sum by (job, state) (souk_database_connections)",
                "{{job}} waiting": "sum by (job) (souk_database_waiting)",
            },
        ),
        Panel(
            title="Certificates end in",
            unit="s",
            queries={
                "{{job}}": "min by (job) (souk_certificate_expiry_timestamp_seconds) - time()"
            },
        ),
    ],
}


def _text(name: str, title: str, rows: Mapping[str, list[Panel]]) -> str:
    """Returns a dashboard in Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, shown in rows.items():
        panels.append(
            {"type": "row", "title": row, "collapsed": False, "gridPos": _at(0, y, _WIDTH, 1)}
        )
        width = _WIDTH // len(shown)
        panels += [
            _panel(panel, _at(place * width, y + 1, width, _HEIGHT))
            for place, panel in enumerate(shown)
        ]
        y += 1 + _HEIGHT
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    dashboard = {
        "uid": f"souk-{name}",
        "title": f"Souk / {title}",
        "tags": ["souk"],
        "schemaVersion": _SCHEMA_VERSION,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_DATA_SOURCE]},
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


_DATA_SOURCE = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
}


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, where: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "gridPos": where,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


DERIVER = Deriver(owns=("charts/monitoring/dashboards/*.json",), files=files)
