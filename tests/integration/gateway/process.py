"""Runs the gateway as its users do: as a process, by its command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

# On a machine that has much else to do a process takes its time to begin and to end.
_SECONDS: Final = 50


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running gateway."""

    url: str
    host: str
    port: int
    metrics_url: str
    process: asyncio.subprocess.Process
    events: list[dict[str, Any]]
    """What it has logged since it serves."""


@asynccontextmanager
async def running(
    *arguments: str, module: str = "gateway", stderr: int | None = None, **environment: str
) -> AsyncIterator[Gateway]:
    """Runs `gateway serve` on a free port until the block is left.

    `stderr` is a file descriptor for its errors, which are else the test's own.
    """
    given = {
        "SOUK_DRAIN_WAIT": "0s",
        "SOUK_LOG_FORMAT": "json",
        "SOUK_METRICS_LISTEN": "127.0.0.1:0",
        **environment,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "serve", "--listen", "127.0.0.1:0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **given},
    )
    assert process.stdout is not None
    drain: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_SECONDS):
            event = await _serving(process.stdout)
        events: list[dict[str, Any]] = []
        drain = asyncio.create_task(_gather(process.stdout, events))
        host, _, port = event["address"].rpartition(":")
        yield Gateway(
            url=f"http://{event['address']}",
            host=host,
            port=int(port),
            metrics_url=f"http://127.0.0.1:{event['metrics_port']}/metrics",
            process=process,
            events=events,
        )
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_SECONDS):
            await process.wait()
        if drain is not None:
            await drain


async def _serving(stdout: asyncio.StreamReader) -> dict[str, Any]:
    async for line in stdout:
        event = _event(line)
        if event["event"] == "serving":
            return event
    raise AssertionError("the gateway ended before it served")


async def _gather(stdout: asyncio.StreamReader, events: list[dict[str, Any]]) -> None:
    async for line in stdout:
        events.append(_event(line))  # noqa: PERF401  # read by the test meanwhile


def _event(line: bytes) -> dict[str, Any]:
    """Reads a line, and passes it on to where all logs of a test are searched (`tests.leaks`)."""
    sys.stderr.write(line.decode())
    event: dict[str, Any] = json.loads(line)
    return event


async def output(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Runs `python -m gateway` to its end and gives exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    async with asyncio.timeout(_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
