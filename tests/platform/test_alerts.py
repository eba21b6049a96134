"""Every alert is pending, fires and ends as it should, by the judgement of promtool.

minute   0 ── well ── 10 ── not well ── 40 ── well ── 150
"""

import itertools
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.local import contract
from services.mesh import metrics
from tests.platform.alerts.cases import CASES, Case

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
PROMTOOL = ROOT / ".tools" / "bin" / "promtool"
BUDGETS = CHARTS / "monitoring/rules/budgets.yaml"

BREAKS, MENDED, END = 10, 40, 150
FAILED = 50
"""Of a hundred calls, in the tests of budgets."""

PROMISED = [rpc for rpc in contract.rpcs() if rpc.policy.HasField("objective")]


def rules() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields every alerting rule with its file."""
    for file in sorted(CHARTS.glob("*/rules/*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from ((file, rule) for rule in group["rules"] if "alert" in rule)


ALERTS = {rule["alert"]: rule for _, rule in rules()}


def judge(folder: Path, files: Sequence[Path], *tests: dict[str, Any]) -> None:
    """Lets promtool run the tests on the rule files; fails with what it says."""
    if not PROMTOOL.exists():
        pytest.skip("promtool is not installed: `make tools`")
    path = folder / "test.yaml"
    document = {
        "rule_files": [str(file) for file in files],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(  # noqa: S603  # a program of ours
        [PROMTOOL, "test", "rules", path], check=False, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr


def samples(values: Sequence[float]) -> str:
    """Writes values as promtool reads them."""
    return " ".join(f"{value:g}" for value in values)


def course(case: Case, is_well: Sequence[bool]) -> list[dict[str, str]]:
    """Returns the series of a case for a course of minutes that are well or are not."""
    written = [
        {"series": name, "values": samples([good if well else bad for well in is_well])}
        for name, (good, bad) in case.series.items()
    ]
    for name, (good, bad) in case.rising.items():
        steps = (good if well else bad for well in is_well)
        written.append({"series": name, "values": samples(list(itertools.accumulate(steps)))})
    return written


def states(minute: int, expression: str, *expected: str) -> dict[str, Any]:
    """Returns the test that at `minute` the expression gives these series, each of value 1."""
    return {
        "expr": expression,
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": labels, "value": 1} for labels in expected],
    }


def firing(alert: str, labels: dict[str, str]) -> str:
    """Returns the series that says that the alert fires."""
    all_labels = {"alertname": alert, "alertstate": "firing", **labels}
    return f"ALERTS{{{', '.join(f'{name}={value!r}' for name, value in all_labels.items())}}}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_follows_its_fault(case, tmp_path):
    """Nothing before; pending for as long as `for` says; then it fires; it ends after its fault."""
    any_state = f'ALERTS{{alertname="{case.alert}"}}'
    pending = f'ALERTS{{alertname="{case.alert}", alertstate="pending"}}'
    expected = [
        states(BREAKS - 1, any_state),
        states(MENDED - 1, any_state, firing(case.alert, case.labels)),
        states(END - 1, any_state),
    ]
    if "for" in ALERTS[case.alert]:
        expected.append(states(MENDED, f"count(count_over_time({pending}[30m]) > 0)", "{}"))
    well = [not BREAKS <= minute < MENDED for minute in range(END)]
    test = {"interval": "1m", "input_series": course(case, well), "promql_expr_test": expected}
    judge(tmp_path, [CHARTS / case.rules], test)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_on_a_fault_that_comes_and_goes(case, tmp_path):
    """A fault that is there every other minute wakes somebody only where that is its nature."""
    well = [minute < BREAKS or minute % 2 == 0 for minute in range(END)]
    fires = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    expected = [firing(case.alert, case.labels)] if case.flaps else []
    test = {
        "interval": "1m",
        "input_series": course(case, well),
        "promql_expr_test": [states(END - 1, fires, *expected)],
    }
    judge(tmp_path, [CHARTS / case.rules], test)


def calls_series(is_well: Sequence[bool], *, failing: bool) -> list[dict[str, str]]:
    """Returns a hundred calls a minute of every promised RPC; half are bad while not well."""
    bad = list(itertools.accumulate(0 if well else FAILED for well in is_well))
    every = [100 * (minute + 1) for minute in range(len(is_well))]
    good = [total - failed for total, failed in zip(every, bad, strict=True)]
    written = []
    for rpc in PROMISED:
        seconds = rpc.policy.objective.latency.ToTimedelta().total_seconds()
        who = f'grpc_service="{rpc.service}", grpc_method="{rpc.name}"'
        ok, failed = (good, bad) if failing else (every, [0] * len(every))
        quick = every if failing else good
        for name, values in (
            (f'grpc_server_handled_total{{{who}, grpc_code="OK"}}', ok),
            (f'grpc_server_handled_total{{{who}, grpc_code="Unavailable"}}', failed),
            (f"grpc_server_handling_seconds_count{{{who}}}", every),
            (f'grpc_server_handling_seconds_bucket{{{who}, le="{seconds:g}"}}', quick),
        ):
            written.append({"series": name, "values": samples(values)})
    return written


@pytest.mark.parametrize("kind", ["Error", "Latency"])
def test_each_promise_has_its_alerts(kind, tmp_path):
    """Half the calls of every RPC with an objective fail, or are slow: each is told of, by name."""
    minutes = 4 * 60
    well = [not 60 <= minute < 180 for minute in range(minutes)]
    fast, slow = f"Rpc{kind}BudgetBurnsFast", f"Rpc{kind}BudgetBurnsSlowly"
    named = [
        firing(alert, {"severity": severity, "grpc_service": rpc.service, "grpc_method": rpc.name})
        for alert, severity in ((fast, "page"), (slow, "ticket"))
        for rpc in PROMISED
    ]
    any_alert = f'ALERTS{{alertname=~"{fast}|{slow}"}}'
    fires = f'ALERTS{{alertname=~"{fast}|{slow}", alertstate="firing"}}'
    pending = f'ALERTS{{alertname="{fast}", alertstate="pending"}}'
    test = {
        "interval": "1m",
        "input_series": calls_series(well, failing=kind == "Error"),
        "promql_expr_test": [
            states(59, any_alert),
            states(180, f"count(count_over_time({pending}[2h])) == bool {len(PROMISED)}", "{}"),
            states(179, fires, *named),
            states(minutes - 1, f'ALERTS{{alertname="{fast}", alertstate="firing"}}'),
        ],
    }
    judge(tmp_path, [BUDGETS, *CHARTS.glob("*/rules/objectives.yaml")], test)


def test_a_budget_that_burns_as_it_may_wakes_nobody(tmp_path):
    """One failure in two thousand calls is what 99.9 percent leaves."""
    minutes = 8 * 60
    rpc = next(each for each in PROMISED if each.name == "CreateOrder")
    who = f'grpc_service="{rpc.service}", grpc_method="{rpc.name}"'
    test = {
        "interval": "1m",
        "input_series": [
            {
                "series": f'grpc_server_handled_total{{{who}, grpc_code="{code}"}}',
                "values": samples([step * minute for minute in range(minutes)]),
            }
            for code, step in (("OK", 2000), ("Unavailable", 1), ("InvalidArgument", 500))
        ],
        "promql_expr_test": [states(minutes - 1, 'ALERTS{alertname=~"Rpc.+"}')],
    }
    judge(tmp_path, [BUDGETS, CHARTS / "order/rules/objectives.yaml"], test)


def test_promtool_finds_no_fault_in_the_rules():
    """Expressions and templates parse, and no rule stands twice."""
    if not PROMTOOL.exists():
        pytest.skip("promtool is not installed: `make tools`")
    files = sorted(CHARTS.glob("*/rules/*.yaml"))
    done = subprocess.run(  # noqa: S603  # a program of ours
        [PROMTOOL, "check", "rules", *files],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case():
    """An alert that nobody has seen fire is a hope."""
    tested = {case.alert for case in CASES}
    tested |= {name for name in ALERTS if re.fullmatch("Rpc.+BudgetBurns.+", name)}
    assert set(ALERTS) - {"Watchdog"} == tested


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert):
    """A severity that Alertmanager routes, a sentence, and a runbook that exists."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    assert rule["annotations"]["summary"]
    runbook = ROOT / rule["annotations"]["runbook"]
    assert runbook.is_file(), f"{runbook} is not there"
    assert alert in runbook.read_text(encoding="utf-8")


@pytest.mark.parametrize("rpc", PROMISED, ids=lambda rpc: rpc.full_name)
def test_a_promised_time_is_a_bound_of_the_histogram(rpc):
    """Calls are counted by buckets: only a bucket's bound tells how many were slower."""
    seconds = rpc.policy.objective.latency.ToTimedelta().total_seconds()
    assert seconds in metrics.BOUNDS
