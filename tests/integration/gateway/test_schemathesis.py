"""Schemathesis judges a gateway of a contract that is no shop, by the document it serves."""

from pathlib import Path

import pytest

from tests.integration.gateway import described_server
from tests.integration.gateway.process import running
from tests.schemathesis import judge
from tests.schemathesis.judge import Verdict
from tests.unit.gateway.documents import described_set


@pytest.mark.timeout(judge.TEST_SECONDS)
async def test_any_contract_keeps_its_document(tmp_path: Path) -> None:
    """What the document allows is taken, what it forbids is refused, and every answer keeps it."""
    contract = tmp_path / "described.binpb"
    contract.write_bytes(described_set().SerializeToString())

    async with (
        described_server.running() as upstream,
        running(
            *("--descriptors", str(contract), "--upstream", f"*={upstream}", "--access", "open")
        ) as gateway,
    ):

        async def judge_round(seed: int) -> Verdict:
            return await judge.judge(gateway.url, "described.toml", contract, tmp_path, seed=seed)

        verdict = await judge.all_rounds(judge_round)
    assert verdict.operation_count == 17
    assert verdict.answers.keys() - verdict.operations_with("200") <= {"POST /v1/untold"}
