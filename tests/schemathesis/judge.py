"""Runs Schemathesis against a gateway, as its users do: by its command line.

SOUK_SCHEMATHESIS_REQUESTS makes a test send at least so many requests, in large rounds with seeds
from 1 on; unset, it is one small round. So the same number repeats the same run.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_ROOT = HERE.parents[1]
_REQUESTS = int(os.environ.get("SOUK_SCHEMATHESIS_REQUESTS", "0"))
_EXAMPLES = 20 if _REQUESTS else 4
_ROUND_SECONDS = 1800 if _REQUESTS else 500
TEST_SECONDS = 24 * 3600 if _REQUESTS else 600
"""What a test may take that goes through all rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a round came to. `answers` counts the answers of each operation by their status."""

    request_count: int
    operation_count: int
    answers: Mapping[str, Mapping[str, int]]

    def operations_with(self, status: str) -> set[str]:
        """Names the operations that answered at least once with a status that begins so."""
        return {
            operation
            for operation, counts in self.answers.items()
            if any(each.startswith(status) for each in counts)
        }


async def all_rounds(judge_round: Callable[[int], Awaitable[Verdict]]) -> Verdict:
    """Calls `judge_round` with a seed until enough requests were sent; gives the first verdict."""
    first = await judge_round(1)
    count, seed = first.request_count, 1
    while count < _REQUESTS:
        seed += 1
        count += (await judge_round(seed)).request_count
    return first


async def judge(
    url: str,
    config: str,
    descriptors: Path,
    folder: Path,
    *,
    seed: int,
    tokens: Mapping[str, str] | None = None,
    round_seconds: float = _ROUND_SECONDS,
) -> Verdict:
    """Judges the gateway at `url` by `config`, a file beside this one.

    `tokens` has the access token of who is signed in, by a name; what one of several has made, the
    others must not see. A finding is an AssertionError with the report. `folder` takes what the
    run writes.
    """
    report, answers, log = (folder / name for name in ("report.json", "answers.json", "log"))
    settings = folder / "schemathesis.toml"
    settings.write_text((HERE / config).read_text() + _signed_in(tokens or {}, folder))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("st"), "--no-color", "--config-file", settings),
            *("run", f"{url}/openapi.json", "--seed", str(seed), "--max-examples", str(_EXAMPLES)),
            *("--report", "json", "--report-json-path", report),
            cwd=_ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(_ROOT),
                # By the same seed the same requests, whatever sets are gone through on the way.
                "PYTHONHASHSEED": str(seed),
                "SOUK_ANSWERS": str(answers),
                "SOUK_DESCRIPTORS": str(descriptors),
            },
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        code = await asyncio.wait_for(process.wait(), round_seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert code == 0, log.read_text()
    told = json.loads(report.read_text())
    return Verdict(
        request_count=told["test_cases"]["generated"],
        operation_count=told["operations"]["tested"],
        answers=json.loads(answers.read_text()),
    )


def _signed_in(tokens: Mapping[str, str], folder: Path) -> str:
    """Writes the tokens as Web Fuzzing Commons has it; gives the settings that name the file."""
    if not tokens:
        return ""
    people = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    path = folder / "people.json"
    path.write_text(json.dumps({"auth": people}))
    peers = f"peers = {json.dumps(list(tokens))}\n" if len(tokens) > 1 else ""
    return f"\n[auth.wfc]\npath = {json.dumps(str(path))}\n{peers}"
