"""Turns `buf.validate` rules and `google.api.field_behavior` of a field into JSON Schema.

Only what JSON Schema can say is turned; CEL rules, and rules on what is text in JSON (64-bit
integers, times, bytes), stay in the comments. The options are read anew from their bytes, since
descriptors of a pool of their own do not know the extensions.
"""

import re
from typing import Any, Final

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

Schema = dict[str, Any]

_FORMATS: Final = {
    "address": "hostname",
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_STRINGS: Final = {"min_len": "minLength", "max_len": "maxLength"}
_NUMBERS: Final = {
    "gte": "minimum",
    "lte": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
_NUMERIC: Final = frozenset({"double", "fixed32", "float", "int32", "sfixed32", "sint32", "uint32"})
_COUNTS: Final = {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"}
_PAIRS: Final = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
# RE2 has them and ECMA-262, the dialect of JSON Schema, has not, or means something else.
_NOT_ECMA: Final = re.compile(r"\\[AzCQEpP]|\(\?[imsUP-]|\[\[:|[*+?}]\+")


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Reads the rules of a field; empty if it has none, or none that counts."""
    extension: Any = validate_pb2.field
    rules: validate_pb2.FieldRules = options_of(field).Extensions[extension]
    return validate_pb2.FieldRules() if rules.ignore == validate_pb2.IGNORE_ALWAYS else rules


def is_said_required(field: FieldDescriptor) -> bool:
    """Says whether its behaviour is REQUIRED; `presence` knows of other reasons."""
    return field_behavior_pb2.REQUIRED in _behavior(field)


def is_output_only(field: FieldDescriptor) -> bool:
    """Says whether only the service sets the field."""
    return field_behavior_pb2.OUTPUT_ONLY in _behavior(field)


def may_be_empty(field: FieldDescriptor) -> bool:
    """Says whether an empty text is no value, to which no rule applies."""
    rules = rules_of(field)
    return rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE and rules.HasField("string")


def options_of(field: FieldDescriptor) -> descriptor_pb2.FieldOptions:
    """Reads the options of a field with the extensions that this process knows."""
    return descriptor_pb2.FieldOptions.FromString(field.GetOptions().SerializeToString())


def without_null(schema: Schema) -> Schema:
    """Takes `null` away, which has no text form: in a query it is an absent parameter."""
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return schema
    return schema | {"type": next(kind for kind in kinds if kind != "null")}


def apply(schema: Schema, rules: validate_pb2.FieldRules, enum: EnumDescriptor | None) -> None:
    """Adds what the rules of a field, an element or a value say to its schema.

    `enum` is the type that it has, if that is one.
    """
    kind = rules.WhichOneof("type")
    if kind is None:
        return
    own: Any = getattr(rules, kind)
    if kind == "string":
        _apply_string(schema, own)
    elif kind == "enum" and enum is not None:
        _apply_enum(schema, own, enum)
    elif kind in _NUMERIC:
        _apply_number(schema, own)
    elif kind == "bool" and own.HasField("const"):
        schema["enum"] = [own.const]
    elif kind == "repeated":
        _copy(schema, own, _COUNTS)
        apply(schema["items"], own.items, enum)
    elif kind == "map":
        _apply_map(schema, own, enum)
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        _allow_empty(schema)


def _apply_string(schema: Schema, rules: Any) -> None:
    _copy(schema, rules, _STRINGS)
    if rules.HasField("len"):
        schema["minLength"] = schema["maxLength"] = rules.len
    patterns = [
        rules.pattern,
        f"^{_escaped(rules.prefix)}" if rules.prefix else "",
        _escaped(rules.contains),
        f"{_escaped(rules.suffix)}$" if rules.suffix else "",
    ]
    sayable = [pattern for pattern in patterns if pattern and not _NOT_ECMA.search(pattern)]
    if sayable:
        schema["pattern"] = sayable[0]
    known = rules.WhichOneof("well_known")
    if known in _FORMATS and getattr(rules, known):
        schema["format"] = _FORMATS[known]
    _choices(schema, rules)


def _escaped(text: str) -> str:
    # `re.escape` escapes more than ECMA-262 lets one escape.
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", r"\\\g<0>", text)


def _apply_enum(schema: Schema, rules: Any, enum: EnumDescriptor) -> None:
    names = {value.number: value.name for value in enum.values}
    chosen = [rules.const] if rules.HasField("const") else list(getattr(rules, "in"))
    if not chosen and rules.not_in:
        chosen = [number for number in names if number not in rules.not_in]
    if chosen:
        schema["enum"] = [names[number] for number in chosen if number in names]


def _apply_map(schema: Schema, rules: Any, enum: EnumDescriptor | None) -> None:
    _copy(schema, rules, _PAIRS)
    apply(schema["additionalProperties"], rules.values, enum)
    if rules.keys.WhichOneof("type") == "string":
        schema["propertyNames"] = {"type": "string"}
        apply(schema["propertyNames"], rules.keys, None)


def is_inverted(rules: Any) -> bool:
    """Says whether the bounds of a number exclude what is between them."""
    lower = rules.gt if rules.HasField("gt") else rules.gte
    upper = rules.lt if rules.HasField("lt") else rules.lte
    is_bounded = all(rules.WhichOneof(side) for side in ("greater_than", "less_than"))
    return is_bounded and bool(lower > upper)


def _apply_number(schema: Schema, rules: Any) -> None:
    if not is_inverted(rules):
        _copy(schema, rules, _NUMBERS)
    _choices(schema, rules)
    if "anyOf" in schema and rules.ListFields():
        # A number that is compared is a number, no NaN.
        schema |= schema.pop("anyOf")[0]


def _choices(schema: Schema, rules: Any) -> None:
    choices = [rules.const] if rules.HasField("const") else list(getattr(rules, "in"))
    if choices:
        schema["enum"] = choices
    if rules.not_in:
        schema["not"] = {"enum": list(rules.not_in)}


def _allow_empty(schema: Schema) -> None:
    """Lets a string be empty, which says the same as leaving it out."""
    least = schema.pop("minLength", 0)
    if least > 1:
        schema["anyOf"] = [{"minLength": least}, {"maxLength": 0}]
    if "pattern" in schema:
        schema["pattern"] = f"^$|{schema['pattern']}"
    if "enum" in schema and schema.get("type") == "string":
        schema["enum"] = ["", *schema["enum"]]


def _copy(schema: Schema, rules: Any, names: dict[str, str]) -> None:
    for name, keyword in names.items():
        if rules.HasField(name):
            schema[keyword] = getattr(rules, name)


def _behavior(field: FieldDescriptor) -> list[int]:
    extension: Any = field_behavior_pb2.field_behavior
    return list(options_of(field).Extensions[extension])
