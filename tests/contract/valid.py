"""Builds, for any request type, a message with every field set that breaks no rule."""

import re
from collections.abc import Iterable
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# One of them matches any pattern of the contracts; a new pattern may need a new one.
_TEXTS = (
    *("tok_ok", "sku-1", "coffee", "+491701234567", "0123456789abcdef" * 4),
    "https://images.souk.example/1.jpg",
)
_UUID = "0199a3c4-0000-7000-8000-000000000001"
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.type.Money": {"currency_code": "EUR", "units": 12, "nanos": 500_000_000},
    "google.type.PostalAddress": {"region_code": "DE", "address_lines": ["Hauptstr. 1"]},
    "google.protobuf.Timestamp": {"seconds": 1_795_000_000},
    "google.protobuf.Duration": {"seconds": 60},
    "google.protobuf.FieldMask": {"paths": []},
}


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Return the validation rules of a field; empty if it has none."""
    return field.GetOptions().Extensions[validate_pb2.field]


def is_message(field: FieldDescriptor) -> bool:
    """Say whether the field holds messages."""
    return field.message_type is not None


def fill(message: Message) -> Message:
    """Set every field of `message` to something valid and return it."""
    fields: Iterable[Any] = message.DESCRIPTOR.fields
    for field in fields:
        rules = rules_of(field)
        if field.is_repeated:
            _add_item(message, field, rules.repeated.items)
        elif is_message(field):
            fill_message(getattr(message, field.name))
        else:
            setattr(message, field.name, value(field, rules))
    return message


def fill_message(message: Message) -> None:
    """Set a nested message to something valid."""
    known = _WELL_KNOWN.get(message.DESCRIPTOR.full_name)
    if known is None:
        fill(message)
    else:
        message.MergeFrom(type(message)(**known))
    message.SetInParent()


def value(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Any:
    """Return a valid value of a scalar field."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(rules.string)
    if field.enum_type is not None:
        return field.enum_type.values[1].number
    return max(1, rules.int32.gte)


def _add_item(message: Message, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> None:
    items = getattr(message, field.name)
    if is_message(field):
        fill_message(items.add())
    else:
        items.append(value(field, rules))


def _text(rules: validate_pb2.StringRules) -> str:
    if rules.uuid:
        return _UUID
    if rules.email:
        return "ada@example.com"
    if getattr(rules, "in"):
        return str(getattr(rules, "in")[0])
    if rules.pattern:
        return next(text for text in _TEXTS if re.search(rules.pattern, text))
    return "x" * max(rules.min_len, 1)
