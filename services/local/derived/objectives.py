"""What the contracts promise, as series to compare with: `charts/<chart>/rules/objectives.yaml`.

    policy.objective ─┬─ availability_percent ── souk:rpc_error_budget:ratio  what may fail
                      └─ latency ────────────── souk:rpc_slow:rate5m         what is slower

What measures how fast the budgets burn, and the alerts, are the same for every RPC: they stand in
charts/monitoring/rules/budgets.yaml.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import yaml

from services.local import contract
from services.local.contract import Rpc
from services.local.derived.deriver import HEADER, Deriver

_CHART_OF_AREA = {"storefront": "gateway"}


def files() -> Mapping[str, str]:
    """Returns the rules of every chart whose service promises anything."""
    promised = [rpc for rpc in contract.rpcs() if rpc.policy.HasField("objective")]
    by_chart = groupby(sorted(promised, key=_chart), key=_chart)
    return {f"charts/{chart}/rules/objectives.yaml": _text(chart, rpcs) for chart, rpcs in by_chart}


def _chart(rpc: Rpc) -> str:
    return _CHART_OF_AREA.get(rpc.area, rpc.area)


def _text(chart: str, rpcs: Iterator[Rpc]) -> str:
    rules = [rule for rpc in rpcs for rule in _rules(rpc)]
    group = {"name": f"souk.{chart}.objectives", "rules": rules}
    return f"# {HEADER}\n" + yaml.safe_dump({"groups": [group]}, sort_keys=False, width=1000)


def _rules(rpc: Rpc) -> Iterator[dict[str, Any]]:
    objective = rpc.policy.objective
    budget = 1 - objective.availability_percent / 100
    seconds = objective.latency.ToTimedelta().total_seconds()
    those = f'grpc_service="{rpc.service}", grpc_method="{rpc.name}"'
    # Prometheus 3 writes as 1.0 the bounds that earlier ones keep as 1.
    quick = f'{those}, le=~"{seconds:g}([.]0)?"'
    slow = (
        f"sum(rate(grpc_server_handling_seconds_count{{{those}}}[5m]))"
        f" - sum(rate(grpc_server_handling_seconds_bucket{{{quick}}}[5m]))"
    )
    labels = {"grpc_service": rpc.service, "grpc_method": rpc.name}
    yield {
        "record": "souk:rpc_error_budget:ratio",
        "expr": f"vector({budget:.6g})",
        "labels": labels,
    }
    yield {"record": "souk:rpc_slow:rate5m", "expr": slow, "labels": dict(labels)}


DERIVER = Deriver(owns=("charts/*/rules/objectives.yaml",), files=files)
