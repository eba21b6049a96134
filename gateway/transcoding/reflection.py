"""Asks a running server for its descriptors by gRPC server reflection (v1, else v1alpha)."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest as Request,
)
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionResponse as Response,
)

from gateway.transcoding.descriptors import Faults
from gateway.transcoding.errors import StatusError, code_name
from gateway.transcoding.transport import Call, Transport

# The two versions differ in their package only, so one set of messages reads both.
_VERSIONS: Final = ("v1", "v1alpha")
# The server's own, which nobody wants to see transcoded.
_INFRASTRUCTURE: Final = ("grpc.reflection.", "grpc.health.")


async def fetch(transport: Transport, *, timeout_seconds: float = 10.0) -> FileDescriptorSet:
    """Fetches the files of every service the server lists, with all they import.

    The same server gives the same set, byte by byte. Raises Faults when the server cannot be asked
    or answers an error.
    """
    for version in _VERSIONS:
        try:
            return await _fetch(transport, version, timeout_seconds)
        except StatusError as error:
            code = error.status.code
            if code == code_pb2.UNIMPLEMENTED and version != _VERSIONS[-1]:
                continue
            if code == code_pb2.UNAVAILABLE:
                raise Faults(["the server cannot be reached"]) from None
            if code == code_pb2.UNIMPLEMENTED:
                raise Faults(["the server has no reflection: give --descriptors"]) from None
            raise Faults([f"{code_name(code)}: {error.status.message}"]) from None
        except DecodeError:
            raise Faults(["the server's answer cannot be read"]) from None
    raise AssertionError("unreachable: the last version returns or raises")


async def _fetch(transport: Transport, version: str, timeout_seconds: float) -> FileDescriptorSet:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    call = Call(path=path, timeout_seconds=timeout_seconds)

    async def ask(request: Request) -> Response:
        # A stream of one question a call: what is asked is not known before what was answered.
        answers = [each async for each in transport.stream(call, request.SerializeToString())]
        if not answers:
            raise Faults(["the server gave no answer"])
        response = Response.FromString(answers[0])
        if response.HasField("error_response"):
            problem = response.error_response
            raise Faults([f"{problem.error_message} ({problem.error_code})"])
        return response

    listed = await ask(Request(list_services=""))
    wanted = [
        Request(file_containing_symbol=service.name)
        for service in listed.list_services_response.service
        if not service.name.startswith(_INFRASTRUCTURE)
    ]
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    while wanted:
        found = await ask(wanted.pop())
        for file in _parsed(found.file_descriptor_response.file_descriptor_proto):
            files.setdefault(file.name, file)
        missing = {name for file in files.values() for name in file.dependency} - files.keys()
        wanted.extend(Request(file_by_filename=name) for name in sorted(missing - asked))
        asked |= missing
    return FileDescriptorSet(file=(files[name] for name in sorted(files)))


def _parsed(files: Iterable[bytes]) -> list[FileDescriptorProto]:
    return [FileDescriptorProto.FromString(file) for file in files]
