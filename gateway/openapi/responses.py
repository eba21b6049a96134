"""Describes what is answered: the message, or one of the failures that a call can have.

The failures of all operations are the same components, one for each HTTP status.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from google.protobuf import descriptor_pb2

from gateway.openapi.examples import example
from gateway.openapi.operation import JSON
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas
from gateway.transcoding import etag, fields
from gateway.transcoding.bindings import Binding
from gateway.transcoding.descriptors import Descriptors
from gateway.transcoding.request import HTTP_BODY
from gateway.transcoding.response import PROBLEM
from gateway.transcoding.streaming import EVENT_STREAM, NDJSON

_DEFAULT: Final = "default"
_PROBLEM: Final = "ProblemDetails"
_RETRY_AFTER: Final = {
    "description": "How many seconds to wait before the next try.",
    "schema": {"type": "integer", "minimum": 0},
}
_CHALLENGE: Final = {
    "description": "How to sign in (RFC 9110 section 11.6.1).",
    "schema": {"type": "string"},
}
_ETAG: Final = {
    "description": "The version of what is answered (RFC 9110 section 8.8.3).",
    "schema": {"type": "string"},
}
_STREAM: Final = (
    " One for each message. A failure after the first is the last line, with its `@type`, or the "
    "event `error`."
)
_EVENTS: Final = {"type": "string", "description": "Events: `id` counts, `data` is a message."}


@dataclass(frozen=True, slots=True)
class _Failure:
    name: str
    description: str
    headers: Mapping[str, object]


_FAILURES: Final = {
    "400": _Failure("BadRequest", "A rule is broken, or what is asked cannot be now.", {}),
    "401": _Failure(
        "Unauthorized", "There is no valid access token.", {"WWW-Authenticate": _CHALLENGE}
    ),
    "403": _Failure("Forbidden", "The person may not do this.", {}),
    "404": _Failure("NotFound", "There is no such thing, or it is another's.", {}),
    "409": _Failure("Conflict", "It exists already, or was changed by another meanwhile.", {}),
    "413": _Failure("ContentTooLarge", "The body is larger than is taken.", {}),
    "415": _Failure("UnsupportedMediaType", "The body is not JSON.", {}),
    "429": _Failure("TooManyRequests", "Too much is asked.", {"Retry-After": _RETRY_AFTER}),
    "500": _Failure("InternalServerError", "Something broke; an id in it is in the logs.", {}),
    "503": _Failure(
        "ServiceUnavailable", "The service cannot be reached now.", {"Retry-After": _RETRY_AFTER}
    ),
    "504": _Failure("GatewayTimeout", "It took too long; it may have been done.", {}),
    _DEFAULT: _Failure("Failure", "Any other failure.", {}),
}


def components(
    paths: Mapping[str, Mapping[str, Any]], schemas: Schemas, descriptors: Descriptors
) -> dict[str, Any]:
    """Describes the failures that the paths name, and adds their parts to the schemas."""
    named = {
        status
        for operations in paths.values()
        for operation in operations.values()
        for status in operation["responses"]
    }
    status = schemas.message(descriptors.pool.FindMessageTypeByName("google.rpc.Status"))
    schemas.components[_PROBLEM] = _problem()
    problem = {"$ref": f"#/components/schemas/{_PROBLEM}"}
    content = {JSON: {"schema": status}, PROBLEM: {"schema": problem}}
    return {
        failure.name: {
            "description": failure.description,
            **({"headers": failure.headers} if failure.headers else {}),
            "content": content,
        }
        for status, failure in _FAILURES.items()
        if status in named
    }


def _problem() -> Schema:
    """Describes problem details with the members that the gateway adds (RFC 9457 section 3.2)."""
    text = {"type": "string"}
    detail = {"type": "object", "properties": {"@type": text}, "additionalProperties": True}
    properties: dict[str, Schema] = {
        "type": {"type": "string", "format": "uri-reference"},
        "title": text,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": text,
        "code": {"type": "string", "description": "The canonical code, as `INVALID_ARGUMENT`."},
        "details": {"type": "array", "items": detail},
    }
    return {
        "type": "object",
        "description": "A failure as problem details (RFC 9457).",
        "properties": properties,
        "required": list(properties),
    }


def all_of(
    binding: Binding, schemas: Schemas, comments: Mapping[str, str], *, is_signed_in: bool
) -> dict[str, Any]:
    """Describes every answer of a binding by its status."""
    answer = {
        "description": _description(binding, comments),
        "content": _content(binding, schemas),
    }
    responses: dict[str, Any] = {"200": answer}
    if etag.ResponseTag(binding).is_given and not binding.method.server_streaming:
        answer["headers"] = {"ETag": _ETAG}
        if binding.http_method == "GET":
            known = "`If-None-Match` names the version that still holds."
            responses["304"] = {"description": known, "headers": {"ETag": _ETAG}}
    for status in _failures(binding, is_signed_in=is_signed_in):
        responses[status] = {"$ref": f"#/components/responses/{_FAILURES[status].name}"}
    return responses


def _failures(binding: Binding, *, is_signed_in: bool) -> Iterator[str]:
    yield "400"
    if is_signed_in:
        yield from ("401", "403")
    if binding.path_fields:
        yield "404"
    level = binding.method.options.idempotency_level
    if binding.http_method != "GET" and level != descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
        yield "409"
    if binding.body is not None:
        yield from ("413", "415")
    yield from ("429", "500", "503")
    if not binding.method.server_streaming:
        yield "504"
    yield _DEFAULT


def _description(binding: Binding, comments: Mapping[str, str]) -> str:
    output = binding.method.output
    part = binding.response_body
    told = None if part is None else comments.get(output.fields_by_name[part].full_name)
    text = told or comments.get(output.full_name) or HTTPStatus.OK.phrase
    if output.full_name == HTTP_BODY:
        # Its comment is a manual.
        text = "What the service answers, as it is."
    return text + (_STREAM if binding.method.server_streaming else "")


def _content(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    output = binding.method.output
    part = binding.response_body
    field = output.fields_by_name[part] if part is not None else None
    target = output if field is None else field.message_type
    if target is not None and target.full_name == HTTP_BODY:
        return {"*/*": {}}
    schema = schemas.message(output) if field is None else schemas.field(field)
    if field is not None:
        schema.pop("description", None)
        if fields.is_well_known(field) and not field.is_repeated:
            # Unset, it has no value to show.
            schema = {"anyOf": [schema, {"type": "null"}]}
    if binding.method.server_streaming:
        return {NDJSON: {"schema": schema}, EVENT_STREAM: {"schema": _EVENTS}}
    content: dict[str, Any] = {"schema": schema}
    sample = example(schema, schemas.components, is_answer=True)
    return {JSON: content if sample is None else content | {"example": sample}}
