"""Turns `buf.validate` rules and `google.api.field_behavior` of a field into JSON Schema.

Only what JSON Schema can say is turned; CEL rules stay in the comments. The options are read anew
from their bytes, since descriptors of a pool of their own do not know the extensions.
"""

from typing import Any, Final

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

Schema = dict[str, Any]

_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_STRINGS: Final = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
_NUMBERS: Final = {
    "gte": "minimum",
    "lte": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
_NUMERIC: Final = frozenset({"double", "fixed32", "float", "int32", "sfixed32", "sint32", "uint32"})
_COUNTS: Final = {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"}
_PAIRS: Final = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Reads the rules of a field; empty if it has none."""
    extension: Any = validate_pb2.field
    rules: validate_pb2.FieldRules = _options(field).Extensions[extension]
    return rules


def is_required(field: FieldDescriptor) -> bool:
    """Says whether a caller must give the field."""
    return rules_of(field).required or field_behavior_pb2.REQUIRED in _behavior(field)


def is_output_only(field: FieldDescriptor) -> bool:
    """Says whether only the service sets the field."""
    return field_behavior_pb2.OUTPUT_ONLY in _behavior(field)


def apply(schema: Schema, rules: validate_pb2.FieldRules) -> None:
    """Adds what the rules of a field, an element or a value say to its schema."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return
    own: Any = getattr(rules, kind)
    if kind == "string":
        _apply_string(schema, own)
    elif kind in _NUMERIC:
        _copy(schema, own, _NUMBERS)
        _choices(schema, own)
    elif kind == "repeated":
        _copy(schema, own, _COUNTS)
        apply(schema["items"], own.items)
    elif kind == "map":
        _copy(schema, own, _PAIRS)
        apply(schema["additionalProperties"], own.values)


def _apply_string(schema: Schema, rules: Any) -> None:
    _copy(schema, rules, _STRINGS)
    if rules.HasField("len"):
        schema["minLength"] = schema["maxLength"] = rules.len
    if rules.HasField("prefix"):
        schema.setdefault("pattern", f"^{_escaped(rules.prefix)}")
    known = rules.WhichOneof("well_known")
    if known in _FORMATS and getattr(rules, known):
        schema["format"] = _FORMATS[known]
    _choices(schema, rules)


def _choices(schema: Schema, rules: Any) -> None:
    choices = list(getattr(rules, "in"))
    if rules.HasField("const"):
        choices = [rules.const]
    if choices:
        schema["enum"] = choices


def _copy(schema: Schema, rules: Any, names: dict[str, str]) -> None:
    for name, keyword in names.items():
        if rules.HasField(name):
            schema[keyword] = getattr(rules, name)


def _escaped(text: str) -> str:
    return "".join(letter if letter.isalnum() else f"\\{letter}" for letter in text)


def _behavior(field: FieldDescriptor) -> list[int]:
    extension: Any = field_behavior_pb2.field_behavior
    return list(_options(field).Extensions[extension])


def _options(field: FieldDescriptor) -> descriptor_pb2.FieldOptions:
    return descriptor_pb2.FieldOptions.FromString(field.GetOptions().SerializeToString())
