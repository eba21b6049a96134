"""What a request costs the HTTP server: `python -m tests.bench.http_server`.

    keep-alive clients (core 1) ──▶ http1 | future | uvicorn (core 0), which do nothing else

The servers take turns; medians count. CPU time a request is what a busy machine distorts least.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import uvloop

from tests.bench.http_server_processes import BODY

_CLIENT_CPU: Final = 1
_SERVERS: Final = ("http1", "future", "uvicorn")
_REQUEST: Final = (
    b"GET /v1/products/0190d4c2-7b1a-7c3e-8f00-000000000001 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"
    b"user-agent: bench\r\naccept: */*\r\naccept-encoding: gzip, br\r\n\r\n"
)


class Client(asyncio.Protocol):
    """Sends a request whenever it is answered."""

    answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """Goes on."""
        if data.endswith(BODY[-1:]):
            Client.answers += 1
            self._transport.write(_REQUEST)


@dataclass(kw_only=True)
class Figures:
    """What was measured of a server: by round, requests a second and CPU µs a request."""

    rates: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description="Measure what a request costs the HTTP server.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    options = parser.parse_args()
    os.sched_setaffinity(0, {_CLIENT_CPU})
    for connections in options.connections:
        figures = {name: Figures() for name in _SERVERS}
        for _ in range(options.rounds):
            for name in _SERVERS:
                with _server(name) as process:
                    uvloop.run(_load(process, connections, options.seconds, figures[name]))
        for name, found in figures.items():
            print(
                f"{connections:4} connections  {name:8}{statistics.median(found.rates):9,.0f} /s"
                f"{statistics.median(found.micros):8.1f} µs CPU (least {min(found.micros):.1f})"
            )


@contextmanager
def _server(name: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.bench.http_server_processes", name]
    with subprocess.Popen(  # noqa: S603  # our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _load(
    process: "subprocess.Popen[str]", connections: int, seconds: float, figures: Figures
) -> None:
    loop = asyncio.get_running_loop()
    port = int(_line(process))
    for _ in range(connections):
        await loop.create_connection(Client, "127.0.0.1", port)
    await asyncio.sleep(0.2)
    cpu, answers, began = _cpu_seconds(process), Client.answers, time.perf_counter()
    await asyncio.sleep(seconds)
    cpu, answers = _cpu_seconds(process) - cpu, Client.answers - answers
    figures.rates.append(answers / (time.perf_counter() - began))
    figures.micros.append(cpu / answers * 1e6)


def _cpu_seconds(process: "subprocess.Popen[str]") -> float:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(_line(process))


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


if __name__ == "__main__":
    main()
