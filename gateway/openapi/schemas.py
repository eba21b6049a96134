"""Describes messages as JSON Schema, as their proto3 JSON is.

A message or enum is a component under its full name, until `names` shortens it; the well-known
types are written where they stand.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.openapi import presence, rules
from gateway.openapi.rules import Schema
from gateway.transcoding import fields

_F = FieldDescriptor
_INT32: Final = {"type": "integer", "format": "int32"}
# 64 bits do not fit a JavaScript number, so proto3 JSON writes them as strings.
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]{0,18})$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]{0,19})$"}
_UINT32: Final = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}
_NO_NUMBERS: Final = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
_FLOAT: Final = {"anyOf": [{"type": "number", "format": "float"}, _NO_NUMBERS]}
_DOUBLE: Final = {"anyOf": [{"type": "number", "format": "double"}, _NO_NUMBERS]}
# Of the 10,000 years of seconds (google/protobuf/duration.proto) all but the last 20;
# `format: duration` is ISO's.
_DURATION: Final = r"^-?([0-9]{1,11}|[12][0-9]{11}|3(0[0-9]|1[0-4])[0-9]{9})(\.[0-9]{1,9})?s$"
_BOOL: Final = {"type": "boolean"}
_STRING: Final = {"type": "string"}
# Of either alphabet, padded or not.
_BASE64: Final = "^([A-Za-z0-9+/_-]{4})*([A-Za-z0-9+/_-]{2}(==)?|[A-Za-z0-9+/_-]{3}=?)?$"
_BYTES: Final = {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}
_NULL: Final = {"type": "null"}
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
    "BytesValue": _BYTES | {"type": ["string", "null"]},
    "DoubleValue": {"anyOf": [*_DOUBLE["anyOf"], _NULL]},
    "Duration": {"type": "string", "pattern": _DURATION},
    "Empty": {"type": "object"},
    "FieldMask": {
        "type": "string",
        "pattern": r"^([A-Za-z][A-Za-z0-9]*([.,][A-Za-z][A-Za-z0-9]*)*)?$",
    },
    "FloatValue": {"anyOf": [*_FLOAT["anyOf"], _NULL]},
    "Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "Int64Value": _INT64 | {"type": ["string", "null"]},
    "ListValue": {"type": "array", "items": {}},
    "StringValue": {"type": ["string", "null"]},
    "Struct": {"type": "object", "additionalProperties": True},
    "Timestamp": {"type": "string", "format": "date-time"},
    "UInt32Value": _UINT32 | {"type": ["integer", "null"]},
    "UInt64Value": _UINT64 | {"type": ["string", "null"]},
    "Value": {},
}


class Schemas:
    """The components of a document, filled as messages are met."""

    def __init__(self, comments: Mapping[str, str], inputs: Iterable[Descriptor]) -> None:
        """`comments` has the comment of what has one, by full name; `inputs` is what is asked."""
        self._comments = comments
        self._asked: set[str] = set()
        for message in inputs:
            self._add_asked(message)
        self.components: dict[str, Schema] = {}

    def _add_asked(self, message: Descriptor) -> None:
        if message.full_name not in self._asked:
            self._asked.add(message.full_name)
            for field in message.fields:
                if field.message_type is not None:
                    self._add_asked(field.message_type)

    def message(self, message: Descriptor) -> Schema:
        """Refers to a message, and describes it if it is new."""
        if message.full_name in fields.WELL_KNOWN:
            return dict(_WELL_KNOWN[message.name])
        if message.full_name not in self.components:
            # Reserved first: a message may contain itself.
            self.components[message.full_name] = {}
            self.components[message.full_name] |= self.object_of(message)
        return _reference(message.full_name)

    def object_of(self, message: Descriptor, left_out: frozenset[str] = frozenset()) -> Schema:
        """Describes a message in place, without the fields named."""
        kept = [field for field in message.fields if field.name not in left_out]
        schema: Schema = {"type": "object"}
        if message.full_name in self._comments:
            schema["description"] = self._comments[message.full_name]
        if kept:
            schema["properties"] = {field.json_name: self.field(field) for field in kept}
        required = [field.json_name for field in kept if self._is_there(field)]
        if required:
            schema["required"] = required
        pairs = list(_exclusive_pairs(kept))
        if pairs:
            schema["not"] = {"anyOf": [{"required": pair} for pair in pairs]}
        # Strict as the gateway reads it; an answer never has more, either.
        schema["additionalProperties"] = False
        return schema

    def _is_there(self, field: FieldDescriptor) -> bool:
        """Says whether a field must be given, or in what is only answered, whether it always is."""
        message: Any = field.containing_type
        if message.full_name in self._asked:
            return presence.is_required(field)
        return not field.has_presence

    def field(self, field: FieldDescriptor) -> Schema:
        """Describes a field with its rules and its comment."""
        schema = self._shape(field)
        rules.apply(schema, rules.rules_of(field), field.enum_type)
        if field.full_name in self._comments:
            schema["description"] = self._comments[field.full_name]
        if rules.is_output_only(field):
            schema["readOnly"] = True
        if rules.options_of(field).deprecated:
            schema["deprecated"] = True
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
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _enum(self, enum: EnumDescriptor) -> Schema:
        if enum.full_name == "google.protobuf.NullValue":
            return dict(_NULL)
        told = [self._comments.get(enum.full_name, "")]
        values = {value.name: f"{enum.full_name}.{value.name}" for value in enum.values}
        told.append(
            "\n".join(
                f"- `{name}`: {' '.join(self._comments[full].split())}"
                for name, full in values.items()
                if full in self._comments
            )
        )
        schema: Schema = {"type": "string", "enum": list(values)}
        if any(told):
            schema["description"] = "\n\n".join(filter(None, told))
        self.components[enum.full_name] = schema
        return _reference(enum.full_name)


def _reference(full_name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{full_name}"}


def _exclusive_pairs(kept: Iterable[FieldDescriptor]) -> Iterable[list[str]]:
    """Pairs the fields of which only one may be given."""
    groups: dict[str, list[str]] = {}
    for field in kept:
        oneof = fields.oneof(field)
        if oneof is not None:
            groups.setdefault(oneof.name, []).append(field.json_name)
    for members in groups.values():
        yield from map(list, combinations(members, 2))
