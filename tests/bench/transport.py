"""What a call costs the client: `python -m tests.bench.transport`.

    client (core 1): native | grpc.aio ──▶ a server with answers of 290 bytes (core 0)

Unary calls, and server streams of a thousand answers each.

Both make the very same calls, in turns, from one process on one core; medians count. CPU time a
call is what a busy machine distorts least.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import grpc.aio
import uvloop

from gateway.transcoding.transport import Call, Transport
from gateway.transcoding.transport.grpc_aio import GrpcTransport
from gateway.transcoding.transport.native import NativeTransport, Target
from tests.bench.transport_server import MANY

_SERVER_CPU: Final = 0
_CLIENT_CPU: Final = 1
_CALL: Final = Call(
    path="/shop.v1.Products/GetProduct",
    metadata=(
        ("authorization", "Bearer " + "t" * 400),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-request-id", "01a2092a-1501-76b2-ad66-4d9c138617d5"),
    ),
    timeout_seconds=5,
)
_REQUEST: Final = b"\n\x2401a2092a-1501-76b2-ad66-4d9c138617d5"
_MESSAGES: Final = 1_000

Load = Callable[[Transport], Awaitable[int]]
"""Makes a call; gives how many messages were answered."""

_REQUEST_OF_MANY: Final = MANY + str(_MESSAGES).encode()


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description="Measure what a call costs the client.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    options = parser.parse_args()
    os.sched_setaffinity(0, {_CLIENT_CPU})
    with _server() as port:
        uvloop.run(_measure(port, options))


@contextmanager
def _server() -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.transport_server", str(_SERVER_CPU)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _measure(port: int, options: argparse.Namespace) -> None:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    aio = GrpcTransport(channel)
    native = NativeTransport(Target(name="127.0.0.1", port=port, context=None), {})
    transports: dict[str, Transport] = {"grpc-aio": aio, "native": native}
    try:
        for kind, load in (("calls", _call), ("messages", _watch)):
            for concurrency in options.concurrency:
                await _compare(kind, load, transports, concurrency, options)
    finally:
        await native.close()
        await channel.close()


async def _compare(
    what: str,
    load: Load,
    transports: dict[str, Transport],
    concurrency: int,
    options: argparse.Namespace,
) -> None:
    rates: dict[str, list[float]] = {kind: [] for kind in transports}
    costs: dict[str, list[float]] = {kind: [] for kind in transports}
    for _ in range(options.rounds):
        for kind, transport in transports.items():
            rate, cost = await _load(load, transport, concurrency, options.seconds)
            rates[kind].append(rate)
            costs[kind].append(cost)
    for kind in transports:
        print(
            f"{concurrency:3} at once, {kind:8}: median {statistics.median(rates[kind]):8,.0f} "
            f"{what}/s ({min(rates[kind]):,.0f} to {max(rates[kind]):,.0f}), "
            f"{statistics.median(costs[kind]) * 1e6:5.1f} us of CPU each"
        )
    rate_ratio = statistics.median(rates["native"]) / statistics.median(rates["grpc-aio"])
    cost_ratio = statistics.median(costs["grpc-aio"]) / statistics.median(costs["native"])
    print(
        f"{concurrency:3} at once: {rate_ratio:.1f} times the rate, 1/{cost_ratio:.1f} of the CPU"
    )


async def _call(transport: Transport) -> int:
    await transport.unary(_CALL, _REQUEST)
    return 1


async def _watch(transport: Transport) -> int:
    count = 0
    async for _ in transport.stream(Call(path=_CALL.path), _REQUEST_OF_MANY):
        count += 1
    return count


async def _load(
    load: Load, transport: Transport, concurrency: int, seconds: float
) -> tuple[float, float]:
    """Calls without a pause; returns messages a second, and CPU seconds a message."""
    count = 0

    async def call_repeatedly() -> None:
        nonlocal count
        while time.perf_counter() < end:
            # Not `count += await ...`, which would add to what was counted before the call.
            answered = await load(transport)
            count += answered

    begin, used = time.perf_counter(), time.process_time()
    end = begin + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(call_repeatedly())
    return count / (time.perf_counter() - begin), (time.process_time() - used) / count


if __name__ == "__main__":
    main()
