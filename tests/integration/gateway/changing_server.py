"""A server of protos that change: answers every unary method with its request, and reflects them.

contracts("A", "B")    a set with `GET /v1/a/{text}` and `GET /v1/b/{text}`
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tests.unit.gateway.protos import compiled

SERVICE = "change.v1.Texts"
OTHER_SERVICE = "change.v1.Others"
_VERSIONS = ("v1", "v1alpha")


def contracts(*names: str, others: tuple[str, ...] = (), broken: bool = False) -> FileDescriptorSet:
    """Makes a set with a route for each method name; `broken` adds two that cannot be served."""
    services = [_service("Texts", names, broken=broken)]
    if others:
        services.append(_service("Others", others))
    return compiled(
        'syntax = "proto3"; package change.v1; import "google/api/annotations.proto";'
        "message Text { string text = 1; }" + "".join(services)
    )


def _service(service: str, names: tuple[str, ...], *, broken: bool = False) -> str:
    patterns = [(name, f"/v1/{name.lower()}/{{text}}") for name in names]
    if broken:
        patterns += [("Bad", "/v1/{text"), ("Worse", "/v1/{nope}")]
    methods = "".join(
        f'rpc {name}(Text) returns (Text) {{ option (google.api.http) = {{get: "{pattern}"}}; }}'
        for name, pattern in patterns
    )
    return (
        f"service {service} {{ {methods}"
        'rpc Watch(Text) returns (stream Text) { option (google.api.http) = {get: "/v1/watch"}; } }'
        if service == "Texts"
        else f"service {service} {{ {methods} }}"
    )


def replace(path: Path, descriptors: FileDescriptorSet) -> None:
    """Puts a set where another is, as a deployment does: by renaming a whole file."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(descriptors.SerializeToString())
    fresh.replace(path)


class ChangingServer(grpc.GenericRpcHandler):
    """Answers; the text "slow" when `resumed` is set, a stream one message and the rest then."""

    def __init__(self) -> None:
        self.resumed = asyncio.Event()
        self.waiting = asyncio.Event()
        self.peers: set[str] = set()
        self.reflect(contracts("A"))

    def reflect(self, descriptors: FileDescriptorSet) -> None:
        """Reflects other descriptors from now on."""
        pool = descriptor_pool.DescriptorPool()
        services = [reflection.SERVICE_NAME]
        for file in descriptors.file:
            pool.Add(file)
            services += [f"{file.package}.{service.name}" for service in file.service]
        self._servicer = reflection.aio.ReflectionServicer(services, pool)

    @asynccontextmanager
    async def served(self, *versions: str) -> AsyncIterator[str]:
        """Serves until the block is left; yields the address. Reflects by the versions given."""
        server = grpc.aio.server()
        self._versions = versions or _VERSIONS
        server.add_generic_rpc_handlers((self,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)

    def service(self, call: Any) -> Any:
        """Finds what answers a method."""
        if call.method.startswith("/change.v1."):
            if call.method.endswith("/Watch"):
                return grpc.unary_stream_rpc_method_handler(self._watch)
            return grpc.unary_unary_rpc_method_handler(self._answer)
        for version in self._versions:
            if call.method.startswith(f"/grpc.reflection.{version}."):
                return grpc.stream_stream_rpc_method_handler(
                    self._servicer.ServerReflectionInfo,
                    request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                    response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
                )
        return None

    async def _answer(self, request: bytes, context: Any) -> bytes:
        self.peers.add(context.peer())
        if b"slow" in request:
            self.waiting.set()
            await self.resumed.wait()
        return request

    async def _watch(self, _: bytes, __: Any) -> AsyncIterator[bytes]:
        yield b"\n\x05first"
        await self.resumed.wait()
        yield b"\n\x04last"
