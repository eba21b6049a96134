"""Asks a running server for its descriptors by gRPC server reflection (v1, else v1alpha)."""

from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest as Request,
)
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionResponse as Response,
)

from gateway.transcoding.descriptors import Faults

# The two versions differ in their package only, so one set of messages reads both.
_VERSIONS: Final = ("v1", "v1alpha")
# The server's own, which nobody wants to see transcoded.
_INFRASTRUCTURE: Final = ("grpc.reflection.", "grpc.health.")


async def fetch(channel: grpc.aio.Channel, *, timeout_seconds: float = 10.0) -> FileDescriptorSet:
    """Fetches the files of every service the server lists, with all they import.

    Raises Faults when the server cannot be asked or answers an error.
    """
    for version in _VERSIONS:
        try:
            return await _fetch(channel, version, timeout_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED and version != _VERSIONS[-1]:
                continue
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise Faults(["reflection: the server cannot be reached"]) from None
            raise Faults([f"reflection: {error.code().name}: {error.details()}"]) from None
    raise AssertionError("unreachable: the last version returns or raises")


async def _fetch(
    channel: grpc.aio.Channel, version: str, timeout_seconds: float
) -> FileDescriptorSet:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    # A stream of one question a call: what is asked is not known before what was answered.
    ask: Any = channel.unary_stream(path, Request.SerializeToString, Response.FromString)

    async def answer(request: Request) -> Response:
        async for answered in ask(request, timeout=timeout_seconds):
            response: Response = answered
            if response.HasField("error_response"):
                problem = response.error_response
                raise Faults([f"reflection: {problem.error_message} ({problem.error_code})"])
            return response
        raise Faults(["reflection: the server gave no answer"])

    listed = await answer(Request(list_services=""))
    wanted = [
        Request(file_containing_symbol=service.name)
        for service in listed.list_services_response.service
        if not service.name.startswith(_INFRASTRUCTURE)
    ]
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    while wanted:
        found = await answer(wanted.pop())
        for file in _parsed(found.file_descriptor_response.file_descriptor_proto):
            files.setdefault(file.name, file)
        missing = {name for file in files.values() for name in file.dependency} - files.keys()
        wanted.extend(Request(file_by_filename=name) for name in sorted(missing - asked))
        asked |= missing
    return FileDescriptorSet(file=files.values())


def _parsed(files: Iterable[bytes]) -> list[FileDescriptorProto]:
    return [FileDescriptorProto.FromString(file) for file in files]
