"""The contract `echo.proto` as the tests use it: compiled once, with its messages and a stub."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio
from buf.validate import validate_pb2 as _validate_pb2  # noqa: F401  # into the default pool
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from souk.mesh.v1 import policy_pb2 as _policy_pb2  # noqa: F401  # likewise

_HERE = Path(__file__).parent
_CONTRACTS = _HERE.parent / "proto" / "gen" / "souk.binpb"


def _compile() -> bytes:
    with TemporaryDirectory() as folder:
        output = Path(folder) / "echo.binpb"
        code = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={_CONTRACTS}",
                f"--proto_path={_HERE}",
                f"--descriptor_set_out={output}",
                "echo.proto",
            ]
        )
        assert code == 0
        return output.read_bytes()


def _load() -> ServiceDescriptor:
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_compile()).file:
        pool.AddSerializedFile(file.SerializeToString())
    service: ServiceDescriptor = pool.FindServiceByName("souk.echo.v1.EchoService")
    return service


SERVICE = _load()
EchoRequest: type[Any] = GetMessageClass(SERVICE.methods_by_name["Public"].input_type)
EchoResponse: type[Any] = GetMessageClass(SERVICE.methods_by_name["Public"].output_type)


class EchoStub:
    """What a generated stub would be: one callable per RPC, by its name."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        for method in SERVICE.methods:
            requests = "stream" if method.client_streaming else "unary"
            responses = "stream" if method.server_streaming else "unary"
            make = getattr(channel, f"{requests}_{responses}")
            rpc = make(
                f"/{SERVICE.full_name}/{method.name}",
                request_serializer=EchoRequest.SerializeToString,
                response_deserializer=EchoResponse.FromString,
            )
            setattr(self, method.name, rpc)

    def __getattr__(self, name: str) -> Any:
        """Tell type checkers that every RPC is there."""
        raise AttributeError(name)
