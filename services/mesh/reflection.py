"""Server reflection, as grpcurl asks for it: grpc.reflection.v1, and v1alpha for older clients.

The grpcio package has v1alpha alone; v1 is the same messages under another name.
"""

from collections.abc import Iterable

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as messages

V1 = "grpc.reflection.v1.ServerReflection"


def handlers(services: Iterable[str]) -> Iterable[grpc.GenericRpcHandler]:
    """Return what answers for the services, by their full names, in both versions."""
    servicer = reflection.aio.ReflectionServicer((*services, reflection.SERVICE_NAME))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=messages.ServerReflectionRequest.FromString,
        response_serializer=messages.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, reflection.SERVICE_NAME):
        yield grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
