"""Reads request messages from their bytes, and refuses texts that no store would take."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import Method


class Malformed(InvalidArgument):
    """The bytes are no message of the request's type."""

    reason = "MALFORMED_MESSAGE"


def decoding(method: Method, handler: Handler) -> Handler:
    """Decode the request, or each message of a client's stream.

    Raises Malformed, and InvalidArgument naming the fields that hold the character U+0000:
    PostgreSQL can't store it (its manual, 8.3), and no text that people write has it.

    Not left to grpc.aio, which answers UNKNOWN and writes a traceback for it.
    """
    parse: Callable[[bytes], Message] = GetMessageClass(method.request_type).FromString

    def decode(data: bytes) -> Message:
        try:
            message = parse(data)
        except DecodeError:
            raise Malformed(f"this is no {method.request_type.full_name}") from None
        # Hardly any message has a zero byte, so hardly any is looked through.
        if b"\0" in data:
            _check_texts(message)
        return message

    async def decode_each(requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for data in requests:
            yield decode(data)

    async def handle(request: Any, context: Context) -> Any:
        return await handler(decode(request), context)

    async def handle_stream(requests: Any, context: Context) -> Any:
        return await handler(decode_each(requests), context)

    return handle_stream if method.client_streaming else handle


def _check_texts(message: Message) -> None:
    description = "must not hold the character U+0000"
    violations = [FieldViolation(path, description, "NUL") for path in _texts_with_nul(message)]
    if violations:
        raise InvalidArgument(f"{violations[0].field} {description}", violations=violations)


def _texts_with_nul(message: Message, prefix: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        for index, each in enumerate(value if field.is_repeated else [value]):
            path = f"{prefix}{field.name}{f'[{index}]' if field.is_repeated else ''}"
            if isinstance(each, Message):
                yield from _texts_with_nul(each, f"{path}.")
            elif isinstance(each, str) and "\0" in each:
                yield path
