"""Finds fields by the names clients use.

A field answers to its proto name and to its JSON name (proto3 JSON mapping). In errors a field is
named by its proto path as services name it: `items[0].quantity`.
"""

from functools import lru_cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor

FieldPath = tuple[FieldDescriptor, ...]
"""A field, with the message fields on the way to it."""

WELL_KNOWN: Final = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Any",
        "BoolValue",
        "BytesValue",
        "DoubleValue",
        "Duration",
        "Empty",
        "FieldMask",
        "FloatValue",
        "Int32Value",
        "Int64Value",
        "ListValue",
        "StringValue",
        "Struct",
        "Timestamp",
        "UInt32Value",
        "UInt64Value",
        "Value",
    )
)
"""The messages whose JSON is not an object of their fields."""

GIVEN_TWICE: Final = "is given twice"
"""What `Claims.take` says of a field that is claimed already."""


# What a descriptor says costs more to ask than to remember; bounded, since contracts may change.
_remembered = lru_cache(maxsize=16_384)


@_remembered
def by_name(message: Descriptor) -> dict[str, FieldDescriptor]:
    """Maps both names of every field; the dict is shared, do not change it."""
    named = {field.json_name: field for field in message.fields}
    # A proto name wins over another field's JSON name, of which it is none of the making.
    return named | {field.name: field for field in message.fields}


def resolve(message: Descriptor, names: tuple[str, ...]) -> FieldPath | None:
    """Follows names into nested messages. None if a name is unknown or cannot be entered."""
    path: list[FieldDescriptor] = []
    inside: Descriptor | None = message
    for name in names:
        field = None if inside is None else by_name(inside).get(name)
        if field is None:
            return None
        path.append(field)
        inside = None if field.is_repeated or is_well_known(field) else field.message_type
    return tuple(path)


def dotted(path: FieldPath) -> str:
    """Names a field by its proto path."""
    return ".".join(field.name for field in path)


@_remembered
def is_map(field: FieldDescriptor) -> bool:
    """Says whether the field is a map."""
    message = field.message_type
    return message is not None and bool(message.GetOptions().map_entry)


@_remembered
def is_well_known(field: FieldDescriptor) -> bool:
    """Says whether the field's message has a JSON form of its own."""
    return field.message_type is not None and field.message_type.full_name in WELL_KNOWN


@_remembered
def is_text(field: FieldDescriptor) -> bool:
    """Says whether the field is one string."""
    return field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


@_remembered
def oneof(field: FieldDescriptor) -> OneofDescriptor | None:
    """Gives the oneof a field shares with others; None for proto3 `optional`, which is alone."""
    containing = field.containing_oneof
    return containing if containing is not None and len(containing.fields) > 1 else None


class Claims:
    """Which fields are given already, so that each is given once and each oneof one member."""

    def __init__(self, base: "Claims | None" = None) -> None:
        """Starts with nothing, or with what another has."""
        self._fields: set[str] = set()
        self._members: dict[tuple[str, str], str] = {}
        if base is not None:
            self._fields |= base._fields  # another of this class
            self._members |= base._members  # noqa: SLF001

    def take(self, path: FieldPath) -> str | None:
        """Claims a field. Says what is wrong if it, or a sibling in a oneof, is claimed."""
        for length, field in enumerate(path):
            group = oneof(field)
            if group is not None:
                member = self._members.setdefault((dotted(path[:length]), group.name), field.name)
                if member != field.name:
                    return f"excludes {member}, as both are of the oneof {group.name}"
        name = dotted(path)
        if name in self._fields:
            return GIVEN_TWICE
        self._fields.add(name)
        return None
