"""The table at the end of a run: faults injected, invariants held, and how to do it again."""

from collections.abc import Iterator

from tests.chaos import invariants
from tests.chaos.faults import FAULTS
from tests.chaos.run import Outcome, Plan

_OFFENDERS = 5


def lines(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Yields the report line by line."""
    yield f"{'fault':<46} times"
    for name in plan.faults:
        tail = f"  once not: {outcome.failed[name]}" if name in outcome.failed else ""
        yield f"{name:<46} {outcome.injected[name]:>5}{tail}"
    yield ""
    yield f"{'invariant':<46} held"
    for invariant in invariants.INVARIANTS:
        offenders = outcome.broken.get(invariant.__name__, [])
        yield f"{invariant.__name__:<46} {'no' if offenders else 'yes':>4}"
        for offender in offenders[:_OFFENDERS]:
            yield f"    {offender}"
        if len(offenders) > _OFFENDERS:
            yield f"    and {len(offenders) - _OFFENDERS} more"
    yield ""
    deaths = ", ".join(f"{name} {count}" for name, count in outcome.deaths.items() if count)
    yield f"{outcome.orders} orders, {outcome.attempts} attempts, {outcome.kills} kills by SIGKILL"
    yield f"processes that ended: {deaths or 'none'}"
    yield f"purchases that a patient client could not bring to an answer: {outcome.unanswered}"
    if outcome.seconds:
        rate = outcome.orders / outcome.seconds
        yield f"the shop was open for {outcome.seconds:.0f} s, {rate:.1f} orders/s"
    yield f"sagas under way at the last fault's end settled after {_told(outcome.sagas_ended)}"
    if outcome.drains:
        drains = ", ".join(map(_told, outcome.drains))
        yield f"outbox drained after Redis was back in {drains}"
    if outcome.settling is not None:
        yield f"settled after the last fault: {_seconds(outcome)}"
    yield f"history: {plan.folder / 'history.ndjson'}"
    yield f"again: {command(plan)}"


def command(plan: Plan) -> str:
    """Returns what to type to inject the same faults by the same dice."""
    parts = ["python -m tests.chaos", f"--seed {plan.seed}", f"--scale {plan.scale:g}"]
    if plan.seconds is not None:
        parts.append(f"--seconds {plan.seconds:g}")
    if plan.kills:
        parts.append(f"--kills {plan.kills}")
    if plan.orders:
        parts.append(f"--orders {plan.orders}")
    if tuple(plan.faults) != tuple(FAULTS):
        parts.append(f"--faults {','.join(plan.faults)}")
    if plan.patience != 1:
        parts.append(f"--patience {plan.patience:g}")
    return " ".join([*parts, f"--buyers {plan.buyers}", f"--lanes {plan.lanes}"])


def _seconds(outcome: Outcome) -> str:
    settling = outcome.settling
    assert settling is not None
    told = {
        "sagas": settling.sagas,
        "payments": settling.payments,
        "outbox": settling.outbox,
        "notifications": settling.notifications,
    }
    return ", ".join(f"{name} {_told(seconds)}" for name, seconds in told.items())


def _told(seconds: float | None) -> str:
    return "NOT" if seconds is None else f"{seconds:.1f} s"
