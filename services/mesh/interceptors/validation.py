"""Holds every request against the `buf.validate` rules of its contract."""

from collections.abc import AsyncIterator
from typing import Any

import protovalidate
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.interceptors import Context, Handler
from services.mesh.policy import ContractError, Method
from services.mesh.redaction import is_redacted

_violations_of = protovalidate.Validator().collect_violations


class InvalidRequest(InvalidArgument):
    """The request breaks rules of its contract; `violations` has all of them."""

    reason = "INVALID_REQUEST"


def validation(method: Method, handler: Handler) -> Handler:
    """Validate the request, or each message of a client's stream. Raises InvalidRequest.

    Raises ContractError here and now if the rules themselves do not compile.
    """
    try:
        _violations_of(GetMessageClass(method.request_type)())
    except protovalidate.CompilationError as error:
        raise ContractError([f"{method.request_type.full_name}: {error}"]) from error

    async def handle(request: Any, context: Context) -> Any:
        if violations := _violations_of(request):
            raise _invalid(request, violations)
        return await handler(request, context)

    async def handle_stream(requests: Any, context: Context) -> Any:
        return await handler(_each(requests), context)

    return handle_stream if method.client_streaming else handle


def validate(message: Message) -> None:
    """Return if the message keeps its rules; raises InvalidRequest with every violation."""
    if violations := _violations_of(message):
        raise _invalid(message, violations)


async def _each(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        validate(request)
        yield request


def _invalid(message: Message, found: list[protovalidate.Violation]) -> InvalidRequest:
    violations = [_violation(message.DESCRIPTOR, each) for each in found]
    fields = ", ".join(dict.fromkeys(each.field for each in violations if each.field))
    return InvalidRequest(f"the request is not valid: {fields}"[:200], violations=violations)


def _violation(message: Any, violation: protovalidate.Violation) -> FieldViolation:
    """Return the violation without anything of the value, if the field is redacted.

    A rule's text is the contract's own, but a CEL rule may weave the value into it.
    """
    proto = violation.proto
    elements = proto.field.elements if proto.field else []
    hidden = is_redacted(message, (element.field_name for element in elements))
    path = ".".join(
        element.field_name if hidden else f"{element.field_name}{_subscript(element.subscript)}"
        for element in elements
    )
    text = "does not keep its rule" if hidden else proto.message or proto.rule_id
    return FieldViolation(path, text, proto.rule_id)


def _subscript(subscript: Any) -> str:
    if subscript is None:
        return ""
    key = subscript.value
    return f'["{key}"]' if isinstance(key, str) else f"[{key}]".lower()
