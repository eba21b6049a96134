"""Message types that nobody would write, of every kind of field; JSON names are hard to guess."""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
)
from hypothesis import strategies as st

PACKAGE: Final = "gen.v1"
WELL_KNOWN: Final = (
    *("Any", "Duration", "Empty", "FieldMask", "ListValue", "Struct", "Timestamp", "Value"),
    *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value", "Int64Value"),
    *("StringValue", "UInt32Value", "UInt64Value"),
)
_SCALARS: Final = tuple(
    number
    for number in FieldDescriptorProto.Type.values()
    if number
    not in (
        FieldDescriptorProto.TYPE_ENUM,
        FieldDescriptorProto.TYPE_GROUP,
        FieldDescriptorProto.TYPE_MESSAGE,
    )
)
_KEYS: Final = tuple(
    number
    for number in _SCALARS
    if number
    not in (
        FieldDescriptorProto.TYPE_BYTES,
        FieldDescriptorProto.TYPE_DOUBLE,
        FieldDescriptorProto.TYPE_FLOAT,
    )
)
_ENUM: Final = "Kind"
_NAMES: Final = (
    *("name", "id", "parent", "item_count", "a1_b2", "http_url", "x", "camelCase", "UPPER_CASE"),
    *("two__lines", "at_end_", "_at_begin", "field_1", "class", "in", "key", "value", "fields"),
)


def enum_type() -> EnumDescriptorProto:
    """Makes the enum, which is the same for all."""
    enum = EnumDescriptorProto(name=_ENUM)
    for name, number in (("KIND_UNSPECIFIED", 0), ("KIND_ONE", 1), ("KIND_LESS", -1)):
        enum.value.add(name=name, number=number)
    return enum


@st.composite
def message_types(draw: st.DrawFn, number: int) -> DescriptorProto:
    """Draws the type M`number`."""
    message = DescriptorProto(name=f"M{number}")
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=3, max_size=9, unique_by=_json_name))
    numbers = iter(draw(st.lists(_NUMBERS, min_size=9, max_size=9, unique=True)))
    choice = draw(st.integers(0, 3))
    if choice > 1:
        message.oneof_decl.add(name="choice")
    for at, name in enumerate(names):
        made = message.field.add(name=name, number=next(numbers), json_name=_json_name(name))
        # Envoy writes the proto names of those that begin with a capital.
        if name[0].islower() and draw(st.integers(0, 9)) == 0:
            made.json_name = f"renamed{at}"
        made.label = FieldDescriptorProto.LABEL_OPTIONAL
        made.type, type_name = draw(_types(number))
        if type_name:
            made.type_name = type_name
        if at < choice and choice > 1:
            made.oneof_index = 0
            continue
        form = draw(st.sampled_from(["plain", "plain", "optional", "repeated", "map"]))
        if form == "optional" and made.type != FieldDescriptorProto.TYPE_MESSAGE:
            made.proto3_optional = True
        elif form == "repeated":
            made.label = FieldDescriptorProto.LABEL_REPEATED
        elif form == "map":
            _make_map(message, made, draw(st.sampled_from(_KEYS)))
    _add_synthetic_oneofs(message)
    return message


def _add_synthetic_oneofs(message: DescriptorProto) -> None:
    """Gives each `optional` field the oneof that stands for it; they follow the others."""
    for each in message.field:
        if each.proto3_optional:
            each.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{each.name}")


_NUMBERS: Final = st.integers(1, 40) | st.integers(20_000, 2**29 - 1)


def _json_name(name: str) -> str:
    """Names a field as protoc does."""
    parts = name.split("_")
    return parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:])


@st.composite
def _types(draw: st.DrawFn, number: int) -> tuple[Any, str]:
    """Draws a type for a field of M`number`, which may hold itself and those before it."""
    kind = draw(st.sampled_from(["scalar", "scalar", "scalar", "enum", "message", "known"]))
    if kind == "scalar":
        return draw(st.sampled_from(_SCALARS)), ""
    if kind == "enum":
        return FieldDescriptorProto.TYPE_ENUM, f".{PACKAGE}.{_ENUM}"
    if kind == "message":
        return FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.M{draw(st.integers(0, number))}"
    known = draw(st.sampled_from(WELL_KNOWN))
    return FieldDescriptorProto.TYPE_MESSAGE, f".google.protobuf.{known}"


def _make_map(message: DescriptorProto, made: FieldDescriptorProto, key: Any) -> None:
    name = "".join(part[:1].upper() + part[1:] for part in made.name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    entry.field.add(name="key", number=1, label=optional, type=key, json_name="key")
    entry.field.add(
        name="value",
        number=2,
        label=optional,
        type=made.type,
        type_name=made.type_name or None,
        json_name="value",
    )
    made.label = FieldDescriptorProto.LABEL_REPEATED
    made.type = FieldDescriptorProto.TYPE_MESSAGE
    made.type_name = f".{PACKAGE}.{message.name}.{name}"
