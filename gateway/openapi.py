"""Describes the bindings as an OpenAPI 3.1 document.

binding               -> an operation
path variable         -> path parameters, one a wildcard segment
other request fields  -> query parameters or the body, as the binding says
comments, rules       -> descriptions and schemas (`openapi_schemas`)
policy                -> security
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

from gateway import openapi_rules
from gateway.openapi_examples import example
from gateway.openapi_rules import Schema
from gateway.openapi_schemas import Schemas
from gateway.transcoding import etag, fields
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.descriptors import Descriptors, Method
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.path_template import Wildcard
from gateway.transcoding.request import HTTP_BODY
from gateway.transcoding.streaming import EVENT_STREAM, NDJSON

IsSignedIn = Callable[[Method], bool]
"""Says whether a method needs an access token."""

# The methods that OpenAPI has words for; a binding of another is not described.
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_JSON: Final = "application/json"
_ERROR: Final = {"$ref": "#/components/responses/Error"}
_TOKEN: Final = "accessToken"  # noqa: S105  # the name of a scheme


def document(
    descriptors: Descriptors, bindings: Iterable[Binding], *, is_signed_in: IsSignedIn
) -> dict[str, Any]:
    """Writes the document of the bindings."""
    described = [binding for binding in bindings if binding.http_method in _METHODS]
    comments = descriptors.comments()
    schemas = Schemas(comments)
    paths = _Paths()
    operations: dict[str, dict[str, Any]] = {}
    for binding in described:
        path, names = paths.name(binding)
        operation = _Operation(binding, schemas, comments, names).describe()
        if is_signed_in(binding.method):
            operation["security"] = [{_TOKEN: []}]
            operation["responses"] |= {"401": _ERROR, "403": _ERROR}
        operations.setdefault(path, {})[binding.http_method.lower()] = operation
    status = schemas.message(descriptors.pool.FindMessageTypeByName("google.rpc.Status"))
    return {
        "openapi": "3.1.0",
        "info": {"title": _title(described), "version": "1"},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": service, "description": comments.get(service, service)}
            for service in sorted({binding.method.service for binding in described})
        ],
        "paths": operations,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {
                "Error": {
                    "description": "What went wrong, as google.rpc.Status.",
                    "content": {_JSON: {"schema": status}},
                }
            },
            "securitySchemes": {
                _TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _title(bindings: list[Binding]) -> str:
    roots = sorted({binding.method.service.partition(".")[0] for binding in bindings})
    return ", ".join(roots) or "Nothing"


class _Paths:
    """Names paths. Two bindings of one pattern share its parameters' names, as OpenAPI demands."""

    def __init__(self) -> None:
        self._named: dict[tuple[object, ...], tuple[str, list[str]]] = {}

    def name(self, binding: Binding) -> tuple[str, list[str]]:
        """Gives the path and the names of its wildcard segments, in order."""
        template = binding.template
        pattern = (template.segments, template.verb)
        if pattern not in self._named:
            names = list(_wildcard_names(binding))
            left = iter(names)
            parts = [
                "{" + next(left) + "}" if isinstance(segment, Wildcard) else segment
                for segment in template.segments
            ]
            verb = f":{template.verb}" if template.verb is not None else ""
            self._named[pattern] = ("/" + "/".join(parts) + verb, names)
        return self._named[pattern]


def _wildcard_names(binding: Binding) -> Iterator[str]:
    """Names each wildcard by its field; with a number where the field has several."""
    segments = binding.template.segments
    last_names = [path[-1].json_name for path in binding.path_fields]
    for index, segment in enumerate(segments):
        if not isinstance(segment, Wildcard):
            continue
        found = _variable_at(binding, index)
        if found is None:
            yield f"segment_{index + 1}"
            continue
        path, inside = found
        # Without dots, which generated clients cannot have in a name.
        is_unique = last_names.count(path[-1].json_name) == 1
        name = "_".join(field.json_name for field in (path[-1:] if is_unique else path))
        several = sum(isinstance(segments[at], Wildcard) for at in inside) > 1
        yield f"{name}_{index - inside.start + 1}" if several else name


def _variable_at(binding: Binding, index: int) -> tuple[FieldPath, range] | None:
    for variable, path in zip(binding.template.variables, binding.path_fields, strict=True):
        end = len(binding.template.segments) if variable.end is None else variable.end
        if variable.start <= index < end:
            return path, range(variable.start, end)
    return None


class _Operation:
    """Describes one binding."""

    def __init__(
        self, binding: Binding, schemas: Schemas, comments: dict[str, str], names: list[str]
    ) -> None:
        self._binding = binding
        self._schemas = schemas
        self._comments = comments
        self._names = names

    def describe(self) -> dict[str, Any]:
        """Writes the operation object."""
        method = self._binding.method
        comment = self._comments.get(method.full_name, "")
        operation: dict[str, Any] = {
            "operationId": f"{method.service}.{method.name}{self._suffix()}",
            "tags": [method.service],
            "summary": _summary(comment) or method.name,
            "parameters": [*self._path_parameters(), *self._query(), *self._headers()],
        }
        if comment:
            operation["description"] = comment
        if self._binding.body is not None:
            operation["requestBody"] = self._request_body(self._binding.body)
        operation["responses"] = self._responses()
        return operation

    def _suffix(self) -> str:
        # One method may have several bindings, and an operation's id is its own.
        pattern = self._binding.template.text
        letters = "".join(letter if letter.isalnum() else "_" for letter in pattern)
        return f"-{self._binding.http_method.lower()}{letters}"

    def _path_parameters(self) -> Iterator[dict[str, Any]]:
        wildcards = [
            index
            for index, segment in enumerate(self._binding.template.segments)
            if isinstance(segment, Wildcard)
        ]
        for name, index in zip(self._names, wildcards, strict=True):
            found = _variable_at(self._binding, index)
            schema: Schema = {"type": "string"}
            description = None
            if found is not None:
                field = found[0][-1]
                description = self._comments.get(field.full_name)
                if len(found[1]) == 1:
                    schema = self._schemas.field(field)
                    schema.pop("description", None)
            if schema.get("type") == "string" and "format" not in schema:
                # An empty segment is another path.
                schema["minLength"] = max(1, schema.get("minLength", 1))
            yield _parameter("path", name, schema, description, required=True)

    def _query(self) -> Iterator[dict[str, Any]]:
        if self._binding.body == WHOLE_MESSAGE:
            return
        bound = {fields.dotted(path) for path in self._binding.path_fields}
        for path in _leaves(self._binding.method.input, self._binding.body):
            if fields.dotted(path) in bound:
                continue
            field = path[-1]
            schema = self._schemas.field(field)
            description = schema.pop("description", None)
            name = ".".join(step.json_name for step in path)
            is_required = all(openapi_rules.is_required(step) for step in path)
            yield _parameter("query", name, schema, description, required=is_required)

    def _headers(self) -> Iterator[dict[str, Any]]:
        message = self._binding.method.input
        if "request_id" in message.fields_by_name:
            yield _parameter(
                "header",
                "Idempotency-Key",
                {"type": "string"},
                "Gives `requestId`: the same key makes a repeated request the same request.",
            )
        if etag.request_field(self._binding) is not None:
            yield _parameter(
                "header",
                "If-Match",
                {"type": "string"},
                "Gives `etag`: the version that must still be the current one.",
            )

    def _request_body(self, body: str) -> dict[str, Any]:
        method = self._binding.method
        if body == WHOLE_MESSAGE:
            bound = frozenset(path[0].name for path in self._binding.path_fields if len(path) == 1)
            schema = (
                self._schemas.object_of(method.input, bound)
                if bound
                else self._schemas.message(method.input)
            )
        else:
            field = method.input.fields_by_name[body]
            if field.message_type is not None and field.message_type.full_name == HTTP_BODY:
                return {"content": {"*/*": {}}}
            schema = self._schemas.field(field)
        if method.client_streaming:
            array = {"type": "array", "items": schema}
            return {"content": {NDJSON: {"schema": schema}, _JSON: {"schema": array}}}
        content: dict[str, Any] = {"schema": schema}
        sample = example(schema, self._schemas.components)
        if sample:
            content["example"] = sample
        return {"required": True, "content": {_JSON: content}}

    def _responses(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": "OK", "content": self._answer_content()}
        responses = {"200": answer, "400": _ERROR, "default": _ERROR}
        has_tag = etag.ResponseTag(self._binding).is_given
        if has_tag and not self._binding.method.server_streaming:
            answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
            if self._binding.http_method == "GET":
                responses["304"] = {"description": "`If-None-Match` names the current version."}
        return responses

    def _answer_content(self) -> dict[str, Any]:
        output = self._binding.method.output
        part = self._binding.response_body
        field = output.fields_by_name[part] if part is not None else None
        target = output if field is None else field.message_type
        if target is not None and target.full_name == HTTP_BODY:
            return {"*/*": {}}
        schema = self._schemas.message(output) if field is None else self._schemas.field(field)
        if field is not None and fields.is_well_known(field) and not field.is_repeated:
            # Unset, it has no value to show.
            schema = {"anyOf": [schema, {"type": "null"}]}
        if self._binding.method.server_streaming:
            return {NDJSON: {"schema": schema}, EVENT_STREAM: {"schema": {"type": "string"}}}
        return {_JSON: {"schema": schema}}


def _summary(comment: str) -> str:
    """Takes the first sentence of a comment, without its full stop."""
    paragraph = comment.partition("\n\n")[0].replace("\n", " ")
    return paragraph.partition(". ")[0].removesuffix(".")


def _parameter(
    place: str, name: str, schema: Schema, description: str | None, *, required: bool = False
) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    if description:
        parameter["description"] = description
    return parameter


def _leaves(message: Descriptor, body: str | None, above: FieldPath = ()) -> Iterator[FieldPath]:
    """Yields the fields a query can give. A message inside itself is not entered again."""
    for field in message.fields:
        path = (*above, field)
        if (not above and field.name == body) or openapi_rules.is_output_only(field):
            continue
        inside = field.message_type
        if inside is None or (fields.is_well_known(field) and not field.is_repeated):
            yield path
        elif not field.is_repeated and inside not in [step.containing_type for step in path]:
            yield from _leaves(inside, None, path)
