"""Connect's conformance suite runs its own clients against the gateway: Connect and gRPC-Web."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / ".tools/connect"
SERVER = "tests.integration.gateway.connect_conformance.server"
CONFIG = Path(__file__).parent / "connect_conformance/config.yaml"
ALL = 1_354


@pytest.mark.skipif(
    not (TOOLS / "conformance.binpb").exists(),
    reason="Connect's conformance suite is not there: `make tools` builds it, which takes Go",
)
async def test_connect_conformance():
    """Every case passes that the suite has for what the gateway speaks."""
    runner = await asyncio.create_subprocess_exec(
        *(TOOLS / "connectconformance", "--mode", "server", "--conf", CONFIG),
        *("--max-servers", "1", "--parallel", "2"),
        *("--", sys.executable, "-m", SERVER, TOOLS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(110):
            output, _ = await runner.communicate()
    finally:
        if runner.returncode is None:
            runner.terminate()
            await runner.wait()
    text = output.decode()
    assert [] == re.findall("^FAILED: (.*)$", text, re.MULTILINE)
    assert [(str(ALL), "0")] == re.findall(r"^(\d+) passed, (\d+) failed", text, re.MULTILINE), text
