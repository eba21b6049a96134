"""A real gRPC server whose methods of all four kinds do as a test says.

| method         | answers                                        |
|----------------|------------------------------------------------|
| `Unary`        | the request                                    |
| `ServerStream` | as many messages as told, of the size told     |
| `ClientStream` | how many requests came                         |
| `Bidi`         | each request as it comes                       |
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from gateway.transcoding.transport import Call, Messages

SERVICE = "test.v1.Streams"
METHODS = ("Unary", "ServerStream", "ClientStream", "Bidi")


def call(method: str, timeout: float | None = 30, metadata: Any = ()) -> Call:
    """Makes a call of the server's."""
    return Call(path=f"/{SERVICE}/{method}", metadata=metadata, timeout_seconds=timeout)


async def each(*messages: bytes) -> Messages:
    """Gives messages as a stream of requests."""
    for message in messages:
        yield message


def requests(method: str, *messages: bytes) -> bytes | Messages:
    """Gives what a method of that kind is called with: the first message, or all as a stream."""
    return each(*messages) if method in ("ClientStream", "Bidi") else messages[0]


@dataclass
class Streams:
    """What is answered, and what has come."""

    answers: int = 3
    size: int = 10
    code: int = 0
    """The status that calls end with; 0 is OK."""
    fails_after: int = 0
    """How many messages come or go before a call fails."""
    failures: int = 1_000_000
    """How many calls fail before others go well."""
    hangs: bool = False
    """Whether calls go on without another message, once all was answered."""
    reads: int = 1_000_000
    """How many requests are read before `resumed` is set."""
    stops_at: bytes = b"stop"
    """The request at which the rest is not waited for."""
    pause_seconds: float = 0
    seen: Counter[str] = field(default_factory=Counter)
    received: list[bytes] = field(default_factory=list)
    sent: int = 0
    ended: int = 0
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    async def unary(self, request: bytes, context: Any) -> bytes:
        """Answers the request."""
        await self._begin("Unary", context)
        await self._may_fail(context, 0)
        await self._may_hang()
        return request

    async def server_stream(self, _: bytes, context: Any) -> None:
        """Answers messages, each with its number and of the size told."""
        await self._begin("ServerStream", context)
        for number in range(self.answers):
            await self._may_fail(context, number)
            if self.pause_seconds:
                await asyncio.sleep(self.pause_seconds)
            await context.write(b"%d" % number + b"." * (self.size - len(b"%d" % number)))
            self.sent += 1
        await self._may_fail(context, self.answers)
        await self._may_hang()

    async def client_stream(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        """Answers how many requests came."""
        await self._begin("ClientStream", context)
        count = 0
        await self._may_fail(context, 0)
        async for request in requests:
            count += 1
            self.received.append(request)
            await self._may_fail(context, count)
            if count >= self.reads:
                await self.resumed.wait()
            if request == self.stops_at:
                break
        await self._may_hang()
        return b"%d" % count

    async def bidi(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Answers each request as it comes."""
        await self._begin("Bidi", context)
        count = 0
        await self._may_fail(context, 0)
        async for request in requests:
            count += 1
            self.received.append(request)
            await context.write(request)
            await self._may_fail(context, count)
            if request == self.stops_at:
                break
        await self._may_hang()

    async def _begin(self, method: str, context: Any) -> None:
        self.seen[method] += 1
        if self.code and self.fails_after == 0:
            return
        await context.send_initial_metadata((("x-header", "a"), ("x-header-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-trailer", "b"), ("x-trailer-bin", b"\xfe")))

    async def _may_fail(self, context: Any, count: int) -> None:
        if not self.code or count != self.fails_after or sum(self.seen.values()) > self.failures:
            return
        status = status_pb2.Status(code=self.code, message="told to")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
        code = next(each for each in grpc.StatusCode if each.value[0] == self.code)
        details = (("grpc-status-details-bin", status.SerializeToString()), ("x-trailer", "b"))
        await context.abort(code, "told to", details)

    async def _may_hang(self) -> None:
        if self.hangs:
            self.hanging.set()
            await asyncio.Event().wait()

    @asynccontextmanager
    async def served(
        self,
        *options: tuple[str, Any],
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
    ) -> AsyncIterator[int]:
        """Serves on a port of this machine until the block is left; yields the port."""
        server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 16 * 1024 * 1024),
                *options,
            )
        )
        handlers: dict[str, Any] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._told(self.unary)),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self._told(self.server_stream)),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self._told(self.client_stream)),
            "Bidi": grpc.stream_stream_rpc_method_handler(self._told(self.bidi)),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = (
            server.add_insecure_port(f"127.0.0.1:{port}")
            if credentials is None
            else server.add_secure_port(f"127.0.0.1:{port}", credentials)
        )
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)

    def _told(self, behaviour: Any) -> Any:
        async def handle(request: Any, context: Any) -> Any:
            try:
                return await behaviour(request, context)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            finally:
                self.ended += 1

        return handle
