"""Describes one binding as an operation: what is asked. What is answered is in `responses`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from gateway.openapi import parameters, presence
from gateway.openapi.examples import example
from gateway.openapi.rules import Schema
from gateway.openapi.schemas import Schemas
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.request import HTTP_BODY
from gateway.transcoding.streaming import NDJSON

JSON: Final = "application/json"


class Operation:
    """Describes one binding."""

    def __init__(
        self,
        binding: Binding,
        schemas: Schemas,
        comments: Mapping[str, str],
        wildcards: Sequence[str],
    ) -> None:
        """`wildcards` has the names of the path's parameters."""
        self._binding = binding
        self._schemas = schemas
        self._comments = comments
        self._wildcards = wildcards

    def describe(self) -> dict[str, Any]:
        """Writes the part of an operation object that says what is asked."""
        method = self._binding.method
        comment = self._comments.get(method.full_name, "")
        operation: dict[str, Any] = {
            "summary": _summary(comment) or method.name,
            "description": f"{comment}\n\nCalls `{method.path.lstrip('/')}`.".lstrip(),
        }
        if method.options.deprecated:
            operation["deprecated"] = True
        found = [
            *parameters.of_path(self._binding, self._wildcards, self._schemas, self._comments),
            *parameters.of_query(self._binding, self._schemas, self._comments),
            *parameters.of_headers(self._binding, self._schemas),
        ]
        if found:
            operation["parameters"] = found
        if self._binding.body is not None:
            operation["requestBody"] = self._body(self._binding.body)
        return operation

    def _body(self, name: str) -> dict[str, Any]:
        method = self._binding.method
        field = None if name == WHOLE_MESSAGE else method.input.fields_by_name[name]
        target = method.input if field is None else field.message_type
        if target is not None and target.full_name == HTTP_BODY:
            return {"content": {"*/*": {}}}
        schema = self._whole() if field is None else self._schemas.field(field)
        if method.client_streaming:
            array = {"type": "array", "items": schema}
            return {
                "description": "A stream of messages: one a line, or the elements of an array.",
                "content": {JSON: {"schema": array}, NDJSON: {"schema": schema}},
            }
        content: dict[str, Any] = {"schema": schema}
        sample = example(schema, self._schemas.components)
        if sample is not None:
            content["example"] = sample
        # An empty body is an empty message, or an unset field.
        is_required = (
            self._demands(schema)
            if field is None
            else presence.is_required(field) and not self._is_bound_in(field)
        )
        return {"required": is_required, "content": {JSON: content}}

    def _whole(self) -> Schema:
        """Describes a body that is the message, without what path and headers give."""
        given = (*self._binding.path_fields, *parameters.of_header_fields(self._binding))
        bound = frozenset(path[0].name for path in given if len(path) == 1)
        message = self._binding.method.input
        if not bound:
            return self._schemas.message(message)
        schema = self._schemas.object_of(message, bound)
        # Else it would read as the body's: what it says is said of the whole request.
        schema.pop("description", None)
        return schema

    def _is_bound_in(self, field: FieldDescriptor) -> bool:
        """Says whether the path gives a part of the field, which is there then."""
        return any(path[0] == field for path in self._binding.path_fields)

    def _demands(self, schema: Schema) -> bool:
        """Says whether an empty object would not do."""
        name = schema.get("$ref", "").rpartition("/")[2]
        return bool(self._schemas.components.get(name, schema).get("required"))


def _summary(comment: str) -> str:
    """Takes the first sentence of a comment, without its full stop."""
    paragraph = comment.partition("\n\n")[0].replace("\n", " ")
    return paragraph.partition(". ")[0].removesuffix(".")
