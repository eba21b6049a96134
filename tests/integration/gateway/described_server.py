"""A real gRPC server for described.proto: it holds requests to their rules and answers in kind.

An answer has the fields of its request that it knows by name, nested ones first. Rules are those of
protovalidate, as a service of the mesh has them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import protovalidate
from buf.validate import validate_pb2 as _validate_pb2  # noqa: F401  # into the default pool
from google.api import annotations_pb2 as _annotations_pb2  # noqa: F401  # likewise
from google.api import field_behavior_pb2 as _field_behavior_pb2  # noqa: F401  # likewise
from google.api import httpbody_pb2 as _httpbody_pb2  # noqa: F401  # likewise
from google.protobuf import descriptor_pool, json_format
from google.protobuf import duration_pb2 as _duration_pb2  # noqa: F401  # likewise
from google.protobuf import field_mask_pb2 as _field_mask_pb2  # noqa: F401  # likewise
from google.protobuf import struct_pb2 as _struct_pb2  # noqa: F401  # likewise
from google.protobuf import timestamp_pb2 as _timestamp_pb2  # noqa: F401  # likewise
from google.protobuf import wrappers_pb2 as _wrappers_pb2  # noqa: F401  # likewise
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.unit.gateway.documents import described_set

_SERVICES = ("described.v1.Things", "described.v1.OtherThings")


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    """Serves until the block is left; yields the address."""
    # The default pool has what it imports, and in it protovalidate finds its extensions.
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(described_set().file[-1].SerializeToString())
    server = grpc.aio.server()
    for name in _SERVICES:
        methods = pool.FindServiceByName(name).methods
        handlers = {method.name: _handler(method) for method in methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


def _handler(method: MethodDescriptor) -> Any:
    answer_class = GetMessageClass(method.output_type)

    async def checked(request: Any, context: Any) -> Any:
        try:
            protovalidate.validate(request)
        except protovalidate.ValidationError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return _answer(request, answer_class())

    async def many(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        yield answer_class(thing_id="0")
        async for request in requests:
            yield await checked(request, context)

    async def one_of_many(requests: AsyncIterator[Any], context: Any) -> Any:
        answer = answer_class()
        async for request in requests:
            answer = await checked(request, context)
        return answer

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in range(2):
            yield await checked(request, context)

    behaviours = {
        (False, False): (grpc.unary_unary_rpc_method_handler, checked),
        (False, True): (grpc.unary_stream_rpc_method_handler, stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, one_of_many),
        (True, True): (grpc.stream_stream_rpc_method_handler, many),
    }
    make, behaviour = behaviours[method.client_streaming, method.server_streaming]
    return make(
        behaviour,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _answer(request: Any, answer: Any) -> Any:
    answer = _told(request, answer)
    thing = getattr(answer, "thing", answer)
    if "thing_id" in thing.DESCRIPTOR.fields_by_name and not thing.thing_id:
        # An empty one has no path of its own.
        thing.thing_id = "0"
    return answer


def _told(request: Any, answer: Any) -> Any:
    for field, value in request.ListFields():
        if field.message_type == answer.DESCRIPTOR:
            return value
    if request.DESCRIPTOR == answer.DESCRIPTOR:
        return request
    told = json_format.MessageToDict(request)
    return json_format.ParseDict(told, answer, ignore_unknown_fields=True)
