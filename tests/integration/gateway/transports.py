"""Both transports in front of a real gRPC server that does as it is told.

    Calls       the server: echoes, fails, hangs, counts
    opened      a transport of either kind to it

What both must do alike is tested on both, so that grpc.aio says what is right.
"""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from gateway.transcoding.transport import Call, Transport
from gateway.transcoding.transport.grpc_aio import GrpcTransport
from gateway.transcoding.transport.native import NativeTransport, Target
from gateway.transcoding.transport.native.tls import client_context

KINDS = ("grpc-aio", "native")
SERVICE = "test.v1.Calls"


def call(method: str, timeout: float | None = 30, metadata: Any = ()) -> Call:
    """Makes a call of the server's."""
    return Call(path=f"/{SERVICE}/{method}", metadata=metadata, timeout_seconds=timeout)


@dataclass
class Calls:
    """What arrived, and how the next calls are answered."""

    seen: Counter[str] = field(default_factory=Counter)
    metadata: list[tuple[tuple[str, str | bytes], ...]] = field(default_factory=list)
    seconds_left: list[float | None] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    pushback: str | None = None
    at_once: int = 0
    most_at_once: int = 0

    async def echo(self, request: bytes, context: Any) -> bytes:
        """Answers the request, with metadata."""
        await context.send_initial_metadata((("x-header", "a"), ("x-header-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-trailer", "b"), ("x-trailer-bin", b"\xfe")))
        return request

    async def fail(self, request: bytes, context: Any) -> bytes:
        """Fails with the code and message asked for, with details and trailers."""
        asked = json.loads(request)
        status = status_pb2.Status(code=asked["code"], message=asked["message"])
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
        context.set_trailing_metadata(
            (("x-trailer", "b"), ("grpc-status-details-bin", status.SerializeToString()))
        )
        context.set_code(next(each for each in grpc.StatusCode if each.value[0] == asked["code"]))
        context.set_details(asked["message"])
        return b""

    async def hang(self, _: bytes, __: Any) -> bytes:
        """Answers never."""
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return b""

    async def brief(self, request: bytes, _: Any) -> bytes:
        """Answers a little later, counting how many do so at once."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        return request

    async def flaky(self, request: bytes, context: Any) -> bytes:
        """Fails as often as told, then answers."""
        if self.seen["Flaky"] <= self.failures:
            trailers = () if self.pushback is None else (("grpc-retry-pushback-ms", self.pushback),)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "told to", trailers)
        return request

    async def late(self, _: bytes, context: Any) -> bytes:
        """Fails after its headers."""
        await context.send_initial_metadata((("x-header", "a"),))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "told to")
        return b""

    @asynccontextmanager
    async def served(
        self,
        *options: tuple[str, Any],
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
        compression: grpc.Compression | None = None,
    ) -> AsyncIterator[int]:
        """Serves on a port of this machine until the block is left; yields the port."""
        server = grpc.aio.server(
            options=(("grpc.so_reuseport", 0), *options), compression=compression
        )
        methods = (self.echo, self.fail, self.hang, self.brief, self.flaky, self.late)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE, {each.__name__.title(): self._handler(each) for each in methods}
                ),
            )
        )
        address = f"{host}:{port}"
        port = (
            server.add_insecure_port(address)
            if credentials is None
            else server.add_secure_port(address, credentials)
        )
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)

    def _handler(self, behaviour: Any) -> Any:
        name = behaviour.__name__.title()

        async def handle(request: bytes, context: Any) -> bytes:
            self.seen[name] += 1
            self.metadata.append(
                tuple((key, value) for key, value in context.invocation_metadata())
            )
            self.seconds_left.append(context.time_remaining())
            answer: bytes = await behaviour(request, context)
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)


@asynccontextmanager
async def opened(
    kind: str,
    port: int,
    *,
    config: Mapping[str, Any] | None = None,
    certificates: Path | None = None,
    holder: str | None = "gateway",
    max_message_bytes: int = 4 * 1024 * 1024,
) -> AsyncIterator[Transport]:
    """Opens a transport to a port of 127.0.0.1; with certificates it shows those of `holder`."""
    config = config or {"loadBalancingConfig": [{"round_robin": {}}]}
    if kind == "native":
        context = None if certificates is None else context_of(certificates, holder)
        target = Target(name="127.0.0.1", port=port, context=context)
        native = NativeTransport(target, config, max_message_bytes=max_message_bytes)
        try:
            yield native
        finally:
            await native.close()
        return
    address = f"127.0.0.1:{port}"
    options = (
        ("grpc.service_config", json.dumps(config)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 3000),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
    )
    channel = (
        grpc.aio.insecure_channel(address, options)
        if certificates is None
        else grpc.aio.secure_channel(address, _credentials(certificates, holder), options)
    )
    async with channel:
        yield GrpcTransport(channel)


def _credentials(folder: Path, holder: str | None) -> grpc.ChannelCredentials:
    ca = (folder / "ca.pem").read_bytes()
    if holder is None:
        return grpc.ssl_channel_credentials(ca)
    key, certificate = (folder / name for name in (f"{holder}-key.pem", f"{holder}.pem"))
    return grpc.ssl_channel_credentials(ca, key.read_bytes(), certificate.read_bytes())


def context_of(folder: Path, holder: str | None) -> ssl.SSLContext:
    """Makes what trusts the authority of a folder of certificates, and shows those of `holder`."""
    ca = (folder / "ca.pem").read_bytes()
    if holder is None:
        return client_context(ca)
    pair = (folder / f"{holder}{end}.pem" for end in ("", "-key"))
    return client_context(ca, *(path.read_bytes() for path in pair))
