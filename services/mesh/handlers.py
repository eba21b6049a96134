"""From servicers to what grpc.aio serves: every RPC of a contract behind the interceptors."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from services.mesh import policy, served_call
from services.mesh.interceptors import Context, Handler, Interceptor, intercepted
from services.mesh.policy import ContractError, Method

# Generic for type checkers alone.
RpcMethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_MAKERS: "dict[str, Callable[..., RpcMethodHandler]]" = {
    "unary": grpc.unary_unary_rpc_method_handler,
    "server_stream": grpc.unary_stream_rpc_method_handler,
    "client_stream": grpc.stream_unary_rpc_method_handler,
    "bidi_stream": grpc.stream_stream_rpc_method_handler,
}


class Handlers(grpc.GenericRpcHandler):
    """Every RPC of the servicers, found by its path.

    Raises ContractError with every fault at once: RPCs without a sound policy, servicers that lack
    an RPC of their contract.
    """

    def __init__(
        self,
        servicers: Mapping[ServiceDescriptor, object],
        interceptors: Sequence[Interceptor],
    ) -> None:
        faults = _missing(servicers)
        methods: list[Method] = []
        try:
            methods = policy.methods(servicers)
        except ContractError as error:
            faults += error.faults
        if faults:
            raise ContractError(faults)
        by_name = {service.full_name: servicer for service, servicer in servicers.items()}
        self._by_path = {
            method.path: _handler(method, by_name[method.service], interceptors)
            for method in methods
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "RpcMethodHandler | None":
        """Return the handler of a path, None if there is none.

        gRPC asks in the task that then serves the call, and has the metadata at hand: they are kept
        for the call, since asking the context for them makes them anew (docs/decisions/0012).
        """
        served_call.arrive(handler_call_details.invocation_metadata)
        return self._by_path.get(handler_call_details.method)


def _handler(
    method: Method, servicer: object, interceptors: Sequence[Interceptor]
) -> RpcMethodHandler:
    handler = intercepted(method, _adapted(method, getattr(servicer, method.name)), interceptors)
    # Without a deserializer or a serializer, since what they raise would pass by the interceptors.
    return _MAKERS[method.kind](handler)


def _adapted(method: Method, implementation: Callable[..., Any]) -> Handler:
    """Return the servicer's method in the shape of a handler: it gives bytes, or writes them."""
    encode = GetMessageClass(method.response_type).SerializeToString

    async def answer(request: Any, context: Context) -> bytes:
        return encode(await implementation(request, context))

    async def write_each(request: Any, context: Context) -> None:
        async with aclosing(implementation(request, context)) as responses:
            async for response in responses:
                await context.write(encode(response))

    return write_each if method.server_streaming else answer


def _missing(servicers: Mapping[ServiceDescriptor, object]) -> list[str]:
    return [
        f"{type(servicer).__name__} does not implement {method.full_name}"
        for service, servicer in servicers.items()
        for method in service.methods
        if not _implements(servicer, method)
    ]


def _implements(servicer: object, method: MethodDescriptor) -> bool:
    """Say whether the servicer has the RPC: an async generator if it streams, else a coroutine.

    The generated base class has every RPC, as a plain function that answers UNIMPLEMENTED.
    """
    found = getattr(servicer, method.name, None)
    if method.server_streaming:
        return inspect.isasyncgenfunction(found)
    return inspect.iscoroutinefunction(found)
