"""Derives a field mask from what the JSON of a PATCH gives (AIP-134, AIP-161)."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding import fields
from gateway.transcoding.bindings import WHOLE_MESSAGE, Binding
from gateway.transcoding.json_message import Bound
from gateway.transcoding.json_text import Members

_FIELD_MASK: Final = "google.protobuf.FieldMask"


def mask_field(binding: Binding) -> FieldDescriptor | None:
    """Finds the field to fill: `update_mask`, or the one field mask the request has.

    None if the binding is not PATCH with a message as its body.
    """
    body = binding.body
    if binding.http_method != "PATCH" or body is None or body == WHOLE_MESSAGE:
        return None
    request = binding.method.input
    target = request.fields_by_name[body]
    if target.message_type is None or target.is_repeated or fields.is_well_known(target):
        return None
    masks = [
        field
        for field in request.fields
        if field.message_type is not None
        and field.message_type.full_name == _FIELD_MASK
        and not field.is_repeated
    ]
    named = [field for field in masks if field.name == "update_mask"]
    return (named or masks)[0] if named or len(masks) == 1 else None


def paths(message: Descriptor | None, given: Members, bound: Bound) -> Iterator[str]:
    """Yields the paths of the fields present in the JSON, null included, bound ones left out.

    Goes into messages; stops at lists, maps and well-known types, which are replaced whole.
    """
    by_name = fields.by_name(message) if message is not None else {}
    for name, value in given:
        field = by_name.get(name)
        if field is None:
            continue
        inside = bound.get(field.name)
        if inside is not None and not isinstance(inside, dict):
            continue
        if isinstance(value, Members) and value and _is_entered(field):
            for path in paths(field.message_type, value, inside or {}):
                yield f"{field.name}.{path}"
        else:
            yield field.name


def _is_entered(field: FieldDescriptor) -> bool:
    return (
        field.message_type is not None and not field.is_repeated and not fields.is_well_known(field)
    )
