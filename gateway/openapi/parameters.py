"""Describes what a request gives beside its body: parameters of path, query and header."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

from gateway.openapi import paths, presence, rules
from gateway.openapi.examples import example
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas
from gateway.transcoding import etag, fields, query
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.path_template import Wildcard

IDEMPOTENCY_FIELD: Final = "request_id"
"""The request field that the header `Idempotency-Key` gives (AIP-155)."""

_REST: Final = "May be several segments: the slashes between them are sent as they are."
_UNBOUND: Final = "May be anything: no field gets it."
_IDEMPOTENCY_KEY: Final = (
    "Makes a repeated request the same request: it is answered as the first one was. Gives "
    "`requestId`, which may stand in the body instead."
)
_IF_MATCH: Final = (
    "The `ETag` that was read, if it must still hold (RFC 9110 section 13.1.1). Gives `etag`."
)
_IF_NONE_MATCH: Final = (
    "The `ETag` of what is known already; if it still holds, the answer is 304 "
    "(RFC 9110 section 13.1.2)."
)
_LAST_EVENT_ID: Final = "The last event that was received, where an event stream is taken up again."


def of_path(
    binding: Binding, names: Sequence[str], schemas: Schemas, comments: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Describes the parameters of the path, by the fields that they give."""
    for name, segment in zip(names, paths.wildcards(binding), strict=True):
        schema: Schema = {"type": "string"}
        told: list[str] = []
        if segment.field is not None:
            field = segment.field[-1]
            told.append(_told(segment.field, comments))
            if segment.is_whole:
                schema = schemas.field(field)
                for said_otherwise in ("description", "readOnly"):
                    schema.pop(said_otherwise, None)
        if segment.kind is Wildcard.REST:
            told.append(_REST)
        if schema.get("type") == "string" and "format" not in schema:
            # An empty segment is another path.
            schema["minLength"] = max(1, schema.get("minLength", 1))
        described = _parameter("path", name, schema, "\n\n".join(told or [_UNBOUND]))
        sample = example(schema, schemas.components)
        yield described | {"required": True} | ({} if sample is None else {"example": sample})


def of_query(
    binding: Binding, schemas: Schemas, comments: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Describes the fields that neither path nor header nor body give."""
    if binding.body == WHOLE_MESSAGE:
        return
    bound = {fields.dotted(path) for path in (*binding.path_fields, *of_header_fields(binding))}
    for path in _leaves(binding.method.input, binding.body):
        if fields.dotted(path) in bound:
            continue
        field = path[-1]
        name = ".".join(step.json_name for step in path)
        description = _told(path, comments)
        form: Any = field.message_type
        if fields.is_well_known(field) and form.name in query.JSON_FORMS:
            described = _parameter("query", name, None, description)
            described["content"] = {"application/json": {"schema": schemas.field(field)}}
        else:
            schema = rules.without_null(schemas.field(field))
            schema.pop("description", None)
            described = _parameter("query", name, schema, description)
            if rules.may_be_empty(field):
                described["allowEmptyValue"] = True
        is_required = all(presence.is_required(step) for step in path)
        yield described | {"required": is_required}


def of_header_fields(binding: Binding) -> Iterator[FieldPath]:
    """Finds the fields that headers give.

    An `etag` in a body is not one of them: who has read a resource sends it as it was.
    """
    own = fields.resolve(binding.method.input, (IDEMPOTENCY_FIELD,))
    if own is not None and fields.is_text(own[-1]):
        yield own
    tag = etag.request_field(binding)
    if tag is not None and len(tag) == 1 and binding.body != WHOLE_MESSAGE:
        yield tag


def of_headers(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    """Describes the header fields that mean something to the binding."""
    own = fields.resolve(binding.method.input, (IDEMPOTENCY_FIELD,))
    if own is not None and fields.is_text(own[-1]) and own not in binding.path_fields:
        schema = schemas.field(own[-1])
        schema.pop("description", None)
        described = _parameter("header", "Idempotency-Key", schema, _IDEMPOTENCY_KEY)
        sample = example(schema | {"format": "uuid"}, {})
        yield described | {"required": presence.is_required(own[-1]), "example": sample}
    if etag.request_field(binding) is not None:
        tag = {"type": "string", "pattern": r'^(\*|(W/)?"[!#-~]*")$'}
        yield _parameter("header", "If-Match", tag, _IF_MATCH)
    if binding.method.server_streaming:
        yield _parameter("header", "Last-Event-ID", {"type": "string"}, _LAST_EVENT_ID)
    elif binding.http_method == "GET" and etag.ResponseTag(binding).is_given:
        yield _parameter("header", "If-None-Match", {"type": "string"}, _IF_NONE_MATCH)


def _told(path: FieldPath, comments: Mapping[str, str]) -> str:
    return comments.get(path[-1].full_name) or f"Gives `{fields.dotted(path)}`."


def _parameter(place: str, name: str, schema: Schema | None, description: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "description": description}
    if schema is not None:
        parameter["schema"] = schema
    return parameter


def _leaves(message: Descriptor, body: str | None, above: FieldPath = ()) -> Iterator[FieldPath]:
    """Yields the fields a query can give. A message inside itself is not entered again."""
    for field in message.fields:
        path = (*above, field)
        if (not above and field.name == body) or rules.is_output_only(field):
            continue
        inside = field.message_type
        if inside is None or (fields.is_well_known(field) and not field.is_repeated):
            yield path
        elif not field.is_repeated and inside not in [step.containing_type for step in path]:
            yield from _leaves(inside, None, path)
