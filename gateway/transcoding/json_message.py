"""Fills a message from a parsed JSON value, as the proto3 JSON mapping says, strictly.

Names the offending field by its path in every refusal. A field the path or a header has bound
already may be repeated in the body with the same value, not with another.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.transcoding import fields, json_text, scalars
from gateway.transcoding.codec import Codec, NotConvertible
from gateway.transcoding.errors import StatusError, refuse
from gateway.transcoding.json_text import Json, Members
from gateway.transcoding.scalars import NULL_VALUE, BadValue, UnknownName

Bound = Mapping[str, Any]
"""What is bound elsewhere: field name to value, or to Bound for a message field."""

# Nothing else can be written back as JSON.
_MASK: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*(?:[.,][A-Za-z][A-Za-z0-9]*)*)?")

NOTHING_BOUND: Final[Bound] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonReader:
    """Reads JSON values into messages, fields and well-known types."""

    codec: Codec
    """Reads the well-known types."""
    ignore_unknown_fields: bool = False

    def read_message(
        self,
        message: Message,
        value: Json,
        at: str,
        bound: Bound = NOTHING_BOUND,
        depth: int = 1,
    ) -> None:
        """Merges an object into `message`. `at` is the path of the message, empty for the whole.

        Raises StatusError.
        """
        if not isinstance(value, Members):
            raise refuse(at, "expected an object")
        if depth > json_text.MAX_DEPTH:
            raise refuse(at, f"nested deeper than {json_text.MAX_DEPTH}")
        by_name = fields.by_name(message.DESCRIPTOR)
        given: set[str] = set()
        members = _bound_members(by_name, bound)
        for name, member in value:
            field = by_name.get(name)
            if field is None:
                if not self.ignore_unknown_fields:
                    raise refuse(_join(at, name), "unknown field")
                continue
            path = _join(at, field.name)
            if field.name in given:
                raise refuse(path, "is given twice")
            given.add(field.name)
            if member is None and (field.is_repeated or not takes_null(field)):
                continue
            group = fields.oneof(field)
            if group is not None and members.setdefault(group.name, field.name) != field.name:
                other = members[group.name]
                raise refuse(path, f"excludes {other}, as both are of the oneof {group.name}")
            if field.name in bound:
                self._compare(message, field, member, path, bound=bound[field.name], depth=depth)
            else:
                self.read_field(message, field, member, path, depth)

    def read_field(
        self, message: Message, field: FieldDescriptor, value: Json, at: str, depth: int = 1
    ) -> None:
        """Sets one field of `message` from a value other than null. Raises StatusError."""
        if fields.is_map(field):
            self._read_map(getattr(message, field.name), field, value, at, depth)
        elif field.is_repeated:
            self._read_list(getattr(message, field.name), field, value, at, depth)
        elif field.message_type is not None:
            inside = getattr(message, field.name)
            inside.SetInParent()
            self._read_element(inside, field, value, at, depth)
        else:
            scalar = self._read_scalar(field, value, at)
            if scalar is not None:
                set_scalar(message, field, scalar, at)

    def _read_scalar(self, field: FieldDescriptor, value: Json, at: str) -> scalars.Scalar | None:
        """Reads a scalar; None for an enum's unknown name where what is unknown is ignored."""
        try:
            return scalars.from_json(field, value)
        except BadValue as error:
            if self.ignore_unknown_fields and isinstance(error, UnknownName):
                return None
            raise refuse(at, str(error)) from None

    def _compare(
        self,
        message: Message,
        field: FieldDescriptor,
        value: Json,
        at: str,
        *,
        bound: Any,
        depth: int,
    ) -> None:
        if isinstance(bound, Mapping):
            self.read_message(getattr(message, field.name), value, at, bound, depth + 1)
        elif not _is_same(self._read_scalar(field, value, at), bound):
            raise refuse(at, "differs from the value bound by the path or a header")

    def _read_list(
        self, into: Any, field: FieldDescriptor, value: Json, at: str, depth: int
    ) -> None:
        if not isinstance(value, list) or isinstance(value, Members):
            raise refuse(at, "expected an array")
        for index, item in enumerate(value):
            item_at = f"{at}[{index}]"
            if item is None and not takes_null(field):
                raise refuse(item_at, "null is no element")
            if field.message_type is not None:
                self._read_element(into.add(), field, item, item_at, depth)
                continue
            scalar = self._read_scalar(field, item, item_at)
            if scalar is not None:
                append_scalar(into, scalar, item_at)

    def _read_map(
        self, into: Any, field: FieldDescriptor, value: Json, at: str, depth: int
    ) -> None:
        if not isinstance(value, Members):
            raise refuse(at, "expected an object")
        entry: Any = field.message_type
        key_field, value_field = entry.fields
        seen: set[object] = set()
        for name, member in value:
            member_at = f'{at}["{name}"]'
            try:
                key = scalars.from_text(key_field, name)
            except BadValue as error:
                raise refuse(member_at, f"bad key: {error}") from None
            if key in seen:
                raise refuse(member_at, "is given twice")
            seen.add(key)
            if member is None and not takes_null(value_field):
                raise refuse(member_at, "null is no value")
            if value_field.message_type is not None:
                self._read_element(into[key], value_field, member, member_at, depth)
                continue
            scalar = self._read_scalar(value_field, member, member_at)
            if scalar is not None:
                _store(into.__setitem__, key, scalar, member_at)

    def _read_element(
        self, into: Message, field: FieldDescriptor, value: Json, at: str, depth: int
    ) -> None:
        if fields.is_well_known(field):
            self.read_well_known(into, value, at, depth + 1)
        else:
            self.read_message(into, value, at, depth=depth + 1)

    def read_well_known(self, into: Message, value: Json, at: str, depth: int = 1) -> None:
        """Fills a message of a well-known type from its JSON. Raises StatusError."""

        def fail(problem: str) -> StatusError:
            return refuse(at, problem)

        plain = json_text.to_plain(value, fail, depth)
        is_mask = into.DESCRIPTOR.full_name == "google.protobuf.FieldMask"
        if is_mask and isinstance(plain, str) and not _MASK.fullmatch(plain):
            raise fail("expected the paths of fields in camelCase, separated by commas")
        try:
            into.MergeFromString(self.codec.from_json(into.DESCRIPTOR.full_name, plain))
        except (NotConvertible, DecodeError) as error:
            raise fail(str(error)) from None


def set_scalar(message: Message, field: FieldDescriptor, value: scalars.Scalar, at: str) -> None:
    """Sets a scalar field. Raises StatusError for a number that a closed enum does not have."""
    _store(setattr, message, field.name, value, at)


def append_scalar(into: Any, value: scalars.Scalar, at: str) -> None:
    """Appends to a repeated scalar field. Raises StatusError as `set_scalar` does."""
    _store(into.append, value, at)


def _store(store: Callable[..., None], *arguments: Any) -> None:
    *values, at = arguments
    try:
        store(*values)
    except ValueError as error:
        raise refuse(at, str(error)) from None


def _bound_members(by_name: Mapping[str, FieldDescriptor], bound: Bound) -> dict[str, str]:
    groups = {name: fields.oneof(by_name[name]) for name in bound}
    return {group.name: name for name, group in groups.items() if group is not None}


def _is_same(value: object, bound: object) -> bool:
    # A NaN is not equal to itself, but the same value all the same.
    return value == bound or (value != value and bound != bound)  # noqa: PLR0124  # as just said


def takes_null(field: FieldDescriptor) -> bool:
    """Says whether null is a value of the field, where it otherwise means that it is absent."""
    if field.message_type is not None:
        return bool(field.message_type.full_name == "google.protobuf.Value")
    return field.enum_type is not None and field.enum_type.full_name == NULL_VALUE


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
