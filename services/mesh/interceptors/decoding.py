"""Reads request messages from their bytes."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from services.mesh.errors import InvalidArgument
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method


class Malformed(InvalidArgument):
    """The bytes are no message of the request's type."""

    reason = "MALFORMED_MESSAGE"


def decoding(method: Method, handler: Handler) -> Handler:
    """Decode the request, or each message of a client's stream. Raises Malformed.

    Not left to grpc.aio, which answers UNKNOWN and writes a traceback for it.
    """
    parse: Callable[[bytes], Message] = GetMessageClass(method.request_type).FromString

    def decode(data: bytes) -> Message:
        try:
            return parse(data)
        except DecodeError:
            raise Malformed(f"this is no {method.request_type.full_name}") from None

    async def decode_each(requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for data in requests:
            yield decode(data)

    async def handle(request: Any, context: Context) -> Any:
        return await handler(decode(request), context)

    async def handle_stream(requests: Any, context: Context) -> Any:
        return await handler(decode_each(requests), context)

    return handle_stream if method.client_streaming else handle
