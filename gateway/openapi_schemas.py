"""Describes messages as JSON Schema, as their proto3 JSON is.

A message is a component under its full name; the well-known types are written where they stand.
"""

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway import openapi_rules
from gateway.openapi_rules import Schema
from gateway.transcoding import fields

_F = FieldDescriptor
_INT32: Final = {"type": "integer", "format": "int32"}
# 64 bits do not fit a JavaScript number, so proto3 JSON writes them as strings.
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}
_UINT32: Final = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}
_FLOAT: Final = {"type": "number", "format": "float"}
_DOUBLE: Final = {"type": "number", "format": "double"}
_BOOL: Final = {"type": "boolean"}
_STRING: Final = {"type": "string"}
_BYTES: Final = {"type": "string", "contentEncoding": "base64"}
_SCALARS: Final[dict[int, Schema]] = {
    _F.TYPE_BOOL: _BOOL,
    _F.TYPE_BYTES: _BYTES,
    _F.TYPE_DOUBLE: _DOUBLE,
    _F.TYPE_FIXED32: _UINT32,
    _F.TYPE_FIXED64: _UINT64,
    _F.TYPE_FLOAT: _FLOAT,
    _F.TYPE_INT32: _INT32,
    _F.TYPE_INT64: _INT64,
    _F.TYPE_SFIXED32: _INT32,
    _F.TYPE_SFIXED64: _INT64,
    _F.TYPE_SINT32: _INT32,
    _F.TYPE_SINT64: _INT64,
    _F.TYPE_STRING: _STRING,
    _F.TYPE_UINT32: _UINT32,
    _F.TYPE_UINT64: _UINT64,
}
_WELL_KNOWN: Final[dict[str, Schema]] = {
    "Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
    "BoolValue": {"type": ["boolean", "null"]},
    "BytesValue": {"type": ["string", "null"], "contentEncoding": "base64"},
    "DoubleValue": {"type": ["number", "null"], "format": "double"},
    "Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "Empty": {"type": "object"},
    "FieldMask": {"type": "string"},
    "FloatValue": {"type": ["number", "null"], "format": "float"},
    "Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "Int64Value": {"type": ["string", "null"], "format": "int64"},
    "ListValue": {"type": "array", "items": {}},
    "StringValue": {"type": ["string", "null"]},
    "Struct": {"type": "object", "additionalProperties": True},
    "Timestamp": {"type": "string", "format": "date-time"},
    "UInt32Value": {"type": ["integer", "null"], "format": "int64"},
    "UInt64Value": {"type": ["string", "null"], "format": "uint64"},
    "Value": {},
}


class Schemas:
    """The components of a document, filled as messages are met."""

    def __init__(self, comments: dict[str, str]) -> None:
        """`comments` has the comment of what has one, by full name."""
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def message(self, message: Descriptor) -> Schema:
        """Refers to a message, and describes it if it is new."""
        if message.full_name in fields.WELL_KNOWN:
            return dict(_WELL_KNOWN[message.name])
        if message.full_name not in self.components:
            # Reserved first: a message may contain itself.
            self.components[message.full_name] = {}
            self.components[message.full_name] |= self.object_of(message)
        return {"$ref": f"#/components/schemas/{message.full_name}"}

    def object_of(self, message: Descriptor, left_out: frozenset[str] = frozenset()) -> Schema:
        """Describes a message in place, without the fields named."""
        kept = [field for field in message.fields if field.name not in left_out]
        schema: Schema = {"type": "object"}
        if message.full_name in self._comments:
            schema["description"] = self._comments[message.full_name]
        if kept:
            schema["properties"] = {field.json_name: self.field(field) for field in kept}
        required = [field.json_name for field in kept if openapi_rules.is_required(field)]
        if required:
            schema["required"] = required
        # Strict as the gateway reads it; an answer never has more, either.
        schema["additionalProperties"] = False
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """Describes a field with its rules and its comment."""
        schema = self._shape(field)
        openapi_rules.apply(schema, openapi_rules.rules_of(field))
        if field.full_name in self._comments:
            schema["description"] = self._comments[field.full_name]
        if openapi_rules.is_output_only(field):
            schema["readOnly"] = True
        return schema

    def _shape(self, field: FieldDescriptor) -> Schema:
        entry: Any = field.message_type
        if fields.is_map(field):
            return {
                "type": "object",
                "additionalProperties": self._element(entry.fields_by_name["value"]),
            }
        if field.is_repeated:
            return {"type": "array", "items": self._element(field)}
        return self._element(field)

    def _element(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field)
        return dict(_SCALARS[field.type])

    def _enum(self, field: FieldDescriptor) -> Schema:
        enum: Any = field.enum_type
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        return {"type": "string", "enum": [value.name for value in enum.values]}
