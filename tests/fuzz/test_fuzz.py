"""A small run of what `make fuzz` does at length."""

from pathlib import Path

import pytest

from tests.contract.contracts import RPCS
from tests.fuzz.messages import Messages
from tests.fuzz.run import Plan, run, table


@pytest.mark.timeout(300)
async def test_generated_calls_find_nothing(tmp_path: Path):
    """No answer is a service's fault, nothing hangs, and what a run took it gives back."""
    plan = Plan(folder=tmp_path, seed=1, calls=1200, requests=0, warm_up=400, rest_seconds=3)
    outcome = await run(plan, print)
    assert [] == outcome.findings, "\n".join(table(outcome))
    assert outcome.count >= plan.calls
    codes = {code for _, code in outcome.tally.answers}
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED"} <= codes


def test_the_same_seed_makes_the_same_messages(monkeypatch: pytest.MonkeyPatch):
    """A finding can be sent again; other seeds make others."""
    monkeypatch.setattr(
        "tests.fuzz.messages.new_id", lambda: "0199a3c4-0000-7000-8000-000000000001"
    )

    def made(seed: int) -> list[bytes]:
        messages = Messages(seed)
        return [messages.wire(rpc.request_type) for rpc in RPCS for _ in range(3)]

    assert made(1) == made(1)
    assert made(1) != made(2)
