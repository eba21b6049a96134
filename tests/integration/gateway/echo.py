"""A real gRPC server for everything.proto that remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection

from tests.unit.gateway.protos import everything

SERVICE = "test.v1.Echo"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that arrived."""

    method: str
    request: Any
    metadata: tuple[tuple[str, str | bytes], ...]
    seconds_left: float | None


@dataclass
class Echo:
    """The calls that arrived, and the streams whose client went away."""

    calls: list[Call] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    """How many messages the last stream has sent."""
    received: int = 0
    """How many messages have come by streams."""
    address: str = ""

    def _message(self, name: str) -> Any:
        return everything().message_class(name)

    def _told(self, method: str, request: Any, context: Any) -> None:
        metadata = tuple((key, value) for key, value in context.invocation_metadata())
        call = Call(
            method=method,
            request=request,
            metadata=metadata,
            seconds_left=context.time_remaining(),
        )
        self.calls.append(call)

    async def same(self, request: Any, _: Any) -> Any:
        """Answers the request, one for "slow" never."""
        if getattr(request, "text", "") == "slow":
            await self._until_cancelled()
        return request

    async def _until_cancelled(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def resource(self, request: Any, context: Any) -> Any:
        """Answers a resource of the name, with its etag, and with metadata."""
        await context.send_initial_metadata((("x-header", "a"), ("x-header-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-trailer", "b"),))
        tag = '"v1"' if request.name.startswith("quoted") else "v1"
        return self._message("test.v1.Resource")(name=request.name, title="x" * 2000, etag=tag)

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Answers as many resources as asked for, and fails where asked to."""
        if request.fail_after < 0:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        title = "x" * request.title_bytes
        for number in range(1, request.count + 1):
            yield self._message("test.v1.Resource")(name=str(number), title=title)
            self.sent = number
            if number == request.fail_after:
                await context.abort(grpc.StatusCode.ABORTED, "enough")
        if request.endless:
            await self._until_cancelled()

    async def collect(self, requests: AsyncIterator[Any], context: Any) -> Any:
        """Answers what came; fails, answers or stays, at once where a name says so."""
        got = []
        async for request in requests:
            self.received += 1
            got.append(request)
            if request.parent == "slow":
                await self._until_cancelled()
            if request.resource.name == "stop":
                break
            if request.resource.name == "fail":
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "enough")
        if got and got[0].parent == "waits":
            # grpc.aio ends the requests of a cancelled call as if all had come.
            await self._until_cancelled()
        return self._message("test.v1.ImportResponse")(requests=got)

    async def chat(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        """Answers each message as it comes."""
        async for request in requests:
            yield request

    async def upload(self, requests: AsyncIterator[Any], _: Any) -> Any:
        """Answers what came, and in how many messages."""
        got = []
        async for request in requests:
            self.received += 1
            got.append(request)
        return self._message("test.v1.UploadResponse")(
            name=got[0].name if got else "",
            content_type=got[0].content.content_type if got else "",
            bytes=sum(len(each.content.data) for each in got),
            messages=len(got),
        )

    async def raw(self, request: Any, _: Any) -> Any:
        """Answers the body it was given."""
        return request.content

    async def download(self, request: Any, _: Any) -> AsyncIterator[Any]:
        """Answers a file in three pieces."""
        for piece in (b"one ", b"two ", request.name.encode()):
            yield self._message("google.api.HttpBody")(content_type="text/plain", data=piece)

    async def fail(self, request: Any, context: Any) -> Any:
        """Fails with the code asked for, with details and trailers."""
        status = status_pb2.Status(code=request.code, message=request.message)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(1500)
        status.details.add().Pack(retry)
        unknown = any_pb2.Any(type_url="type.googleapis.com/nobody.Knows", value=b"\x01")
        status.details.append(unknown)
        context.set_trailing_metadata(
            (("x-trailer", "b"), ("grpc-status-details-bin", status.SerializeToString()))
        )
        code = next(each for each in grpc.StatusCode if each.value[0] == request.code)
        context.set_code(code)
        context.set_details(request.message)
        return self._message("google.protobuf.Empty")()

    def server(self) -> grpc.aio.Server:
        """Makes the server, on a free port."""
        handlers = {
            "Get": self.same,
            "Post": self.same,
            "Update": self.same,
            "Delete": self.same_resource,
            "GetPart": self.same,
            "GetResource": self.resource,
            "Watch": self.watch,
            "Import": self.collect,
            "Chat": self.chat,
            "Raw": self.raw,
            "Upload": self.upload,
            "Download": self.download,
            "Fail": self.fail,
        }
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE,
                    {name: self._handler(name, handle) for name, handle in handlers.items()},
                ),
            )
        )
        reflection.enable_server_reflection(
            (SERVICE, reflection.SERVICE_NAME), server, pool=everything().pool
        )
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        return server

    async def same_resource(self, request: Any, _: Any) -> Any:
        """Answers the resource that was named, with the etag that was given."""
        return self._message("test.v1.Resource")(name=request.name, etag=request.etag)

    def _handler(self, name: str, handle: Any) -> Any:
        [method] = [each for each in everything().methods if each.name == name]
        request_class = self._message(method.input.full_name)

        async def unary(request: Any, context: Any) -> Any:
            self._told(name, request, context)
            return await handle(request, context)

        async def server_stream(request: Any, context: Any) -> AsyncIterator[Any]:
            self._told(name, request, context)
            async for message in handle(request, context):
                yield message

        kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, server_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handle),
            (True, True): (grpc.stream_stream_rpc_method_handler, handle),
        }
        make, behaviour = kinds[method.client_streaming, method.server_streaming]
        return make(
            behaviour,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
