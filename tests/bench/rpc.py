"""What the mesh costs a call: `make bench-rpc`.

    load (core 1) ──TLS───▶ bare grpc.aio server with the handler                  (core 0)
                  ──mTLS──▶ the same handler behind the whole chain                (core 0)

The chain: an access token (verified, then remembered), policy, validation, deadline, metrics, one
log line per call into a file, traces sampled at 10 % and sent to a collector that drops them. Both
get the very same calls, in turns. The two turns of a round are compared with each other and the
median of the rounds counts, since a turn is at the mercy of the machine. Where both cores are two
threads of one, or others are at work, both servers look slower than they are.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import grpc.aio
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.local import certs
from services.mesh import event_loop
from services.mesh.settings import MeshSettings
from souk.order.v1 import order_service_pb2
from tests.bench import rpc_server

CPU = 1
_RPC = "/souk.order.v1.OrderService/GetOrder"
_REQUEST = order_service_pb2.GetOrderRequest(order_id="01a2092a-1501-76b2-ad66-4d9c138617d5")
# What a client of the mesh gives this RPC, since its contract says so.
_DEADLINE_SECONDS = 1.0
_AIM = 0.7
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description="Measure what the interceptor chain costs.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    os.sched_setaffinity(0, {CPU})
    with TemporaryDirectory() as name:
        event_loop.run(_measure(Path(name), options))


async def _measure(folder: Path, options: argparse.Namespace) -> int:
    certs.ensure(folder, ["order", "gateway"])
    token = _issue_token(folder)
    rates: dict[str, list[float]] = {"bare": [], "mesh": []}
    costs: dict[str, list[float]] = {"bare": [], "mesh": []}
    async with _collector() as collector:
        with ExitStack() as stack:
            servers = {
                kind: stack.enter_context(_server(kind, folder, collector)) for kind in rates
            }
            for number in range(options.rounds):
                for kind, (process, address) in servers.items():
                    rate, cost = await _load(process, address, folder, token, options)
                    rates[kind].append(rate)
                    costs[kind].append(cost)
                print(f"round {number + 1}: " + _line({kind: rates[kind][-1] for kind in rates}))
    for kind, values in rates.items():
        print(
            f"{kind}: median {statistics.median(values):,.0f} calls/s "
            f"({min(values):,.0f} to {max(values):,.0f}), "
            f"{statistics.median(costs[kind]) * 1e6:,.0f} us of server CPU a call"
        )
    ratios = [mesh / bare for mesh, bare in zip(rates["mesh"], rates["bare"], strict=True)]
    print(
        f"mesh to bare: median {statistics.median(ratios):.0%} of the rounds' ratios "
        f"({min(ratios):.0%} to {max(ratios):.0%}); the aim is {_AIM:.0%}"
    )
    return 0


def _line(rates: dict[str, float]) -> str:
    return ", ".join(f"{kind} {rate:,.0f} calls/s" for kind, rate in rates.items())


async def _load(
    process: "subprocess.Popen[bytes]",
    address: str,
    folder: Path,
    token: str,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Call as fast as the server answers; returns calls a second, and its CPU seconds a call."""
    credentials = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("ca.pem", "gateway-key.pem", "gateway.pem"))
    )
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        call = channel.unary_unary(
            _RPC,
            request_serializer=order_service_pb2.GetOrderRequest.SerializeToString,
            response_deserializer=order_service_pb2.GetOrderResponse.FromString,
        )

        async def repeat(until: float) -> int:
            calls = 0
            while time.perf_counter() < until:
                await call(_REQUEST, metadata=metadata, timeout=_DEADLINE_SECONDS)
                calls += 1
            return calls

        async def repeat_side_by_side(seconds: float) -> int:
            until = time.perf_counter() + seconds
            return sum(await asyncio.gather(*(repeat(until) for _ in range(options.concurrency))))

        await asyncio.wait_for(channel.channel_ready(), 20)
        await repeat_side_by_side(0.3)
        begin, cpu_begin = time.perf_counter(), _cpu_seconds(process)
        calls = await repeat_side_by_side(options.seconds)
        seconds, cpu_seconds = time.perf_counter() - begin, _cpu_seconds(process) - cpu_begin
        return calls / seconds, cpu_seconds / calls


def _issue_token(folder: Path) -> str:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "token.pem").write_bytes(public)
    settings, now = MeshSettings(), int(time.time())
    claims = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": "01a2092a-1501-76b2-ad66-4d9c138617d6",
        "sid": "01a2092a-1501-76b2-ad66-4d9c138617d7",
        "roles": [],
        "nbf": now,
        "exp": now + 3600,
    }
    headers = {"typ": "at+jwt", "kid": rpc_server.KEY_ID}
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers)


@contextmanager
def _server(
    kind: str, folder: Path, collector: str
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    environ = os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, rpc_server.__file__, kind, str(folder), address]
    with (
        (folder / f"{kind}.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603  # our own program
            command, env=environ, stdout=log
        ) as process,
    ):
        try:
            yield process, address
        finally:
            process.kill()


def _cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """Take whatever spans arrive and drop them."""

    async def export(_request: bytes, _context: object) -> bytes:
        return b""

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        {"Export": grpc.unary_unary_rpc_method_handler(export)},
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


if __name__ == "__main__":
    main()
