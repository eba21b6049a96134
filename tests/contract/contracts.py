"""Every RPC of the shop, as its descriptors tell."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.local import contract, topology
from services.mesh.policy import policy_of
from souk.mesh.v1.policy_pb2 import Policy

SERVICES = tuple(service.name for service in topology.SERVICES)
"""The processes with a store and errors of their own; the storefront runs in the gateway."""


def _modules() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = dict.fromkeys(SERVICES, ())
    for file in FileDescriptorSet.FromString(contract.DESCRIPTORS.read_bytes()).file:
        root, area, *_ = (*file.package.split("."), "")
        if root == "souk" and file.service:
            module = f"{file.name.removesuffix('.proto').replace('/', '.')}_pb2"
            found[area] = (*found.get(area, ()), module)
    return found


MODULES = _modules()
"""The generated modules with the gRPC services of each process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One RPC: the process that serves it, and its descriptor."""

    process: str
    method: MethodDescriptor

    @property
    def path(self) -> str:
        """What stands on the wire."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def policy(self) -> Policy:
        """The policy of the contract."""
        policy = policy_of(self.method)
        assert policy is not None, f"{self.method.full_name} has no policy"
        return policy

    @property
    def request_type(self) -> type[Message]:
        """The class of the request."""
        return GetMessageClass(self.method.input_type)

    def call(self, channel: Any, request: Message, **options: Any) -> Message | None:
        """Call the RPC over a synchronous channel; return the first answer, None without one.

        A client stream has the one message `request`. Raises grpc.RpcError.
        """
        requests = "stream" if self.method.client_streaming else "unary"
        responses = "stream" if self.method.server_streaming else "unary"
        invoke = getattr(channel, f"{requests}_{responses}")(
            self.path,
            request_serializer=self.request_type.SerializeToString,
            response_deserializer=GetMessageClass(self.method.output_type).FromString,
        )
        answer = invoke(iter([request]) if self.method.client_streaming else request, **options)
        if not self.method.server_streaming:
            assert isinstance(answer, Message)
            return answer
        first: Message | None = next(answer, None)
        answer.cancel()
        return first

    def __str__(self) -> str:
        """Name it as test ids do."""
        return f"{self.method.containing_service.name}.{self.method.name}"


def services(process: str) -> Iterator[ServiceDescriptor]:
    """Tell the gRPC services of a process."""
    for name in MODULES[process]:
        yield from importlib.import_module(name).DESCRIPTOR.services_by_name.values()


RPCS = [
    Rpc(process=process, method=method)
    for process in MODULES
    for service in services(process)
    for method in service.methods
]
