"""What stands around every RPC, so that servicers hold nothing but their own business.

    telemetry → errors → admission → identity → stream limit → token life → decoding → policy →
    deadline → validation → servicer

Each module has one interceptor. They wrap the handler once, at start: a call runs through plain
coroutines. One shape serves all four kinds of RPC: the request is the message's bytes, or an async
iterator of them if the client streams, and from `decoding` on the messages; the answer is the bytes
of the response, or None if a stream was written to the context.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from services.mesh.policy import Method

if TYPE_CHECKING:
    import grpc.aio

# As text: what decides by policies must not need gRPC's library (docs/decisions/0076).
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler = Callable[[Any, Context], Awaitable[Any]]
Interceptor = Callable[[Method, Handler], Handler]


def intercepted(method: Method, handler: Handler, interceptors: Iterable[Interceptor]) -> Handler:
    """Return `handler` behind the interceptors, the first of them outermost."""
    for interceptor in reversed(list(interceptors)):
        handler = interceptor(method, handler)
    return handler
