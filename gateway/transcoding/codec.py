"""Converts between wire bytes and proto3 JSON.

Built on protobuf-py, whose JSON passes the conformance suite and is several times as fast as
`google.protobuf.json_format` (docs/decisions/0031). Everything the rest of the gateway needs of it
stands here, so that another codec can take its place.
"""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2
from protobuf import (
    DescField,
    DescFieldValueMessage,
    Message,
    message_from_json_value,
    message_to_json_value,
)
from protobuf.wkt import FileDescriptorSet

from gateway.transcoding import fields
from gateway.transcoding.json_text import Json


class NotConvertible(ValueError):
    """The bytes or the JSON are not of the message's type. The message is safe to show."""


class Codec:
    """Converts messages of one set of files.

    The first message of a type builds what the type needs; the next ones are quick.
    """

    def __init__(self, files: Sequence[descriptor_pb2.FileDescriptorProto]) -> None:
        """Takes files each after those it imports, as `Descriptors.files` has them."""
        wire = descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()
        self._registry = FileDescriptorSet.from_binary(wire).to_registry()
        self._types: dict[str, type[Message[Any]]] = {}
        self._fields: dict[tuple[str, str], DescField] = {}

    def to_json(self, full_name: str, wire: bytes, field: str | None = None) -> bytes:
        """Writes a message as JSON, or one field of it by its proto name.

        Fields without presence are written even at their default. Raises NotConvertible.
        """
        try:
            message = self._type(full_name).from_binary(wire)
            if field is None:
                text = message.to_json(registry=self._registry, always_emit_implicit=True)
            else:
                text = self._field_to_json(message, field)
        except (ValueError, TypeError, RecursionError, EOFError) as error:
            raise NotConvertible(f"{full_name}: {error}") from error
        return text.encode()

    def _field_to_json(self, message: Message[Any], name: str) -> str:
        field = self._field(message, name)
        value = message[field]
        if value is None and isinstance(field.value, DescFieldValueMessage):
            value = self._default(field.value.message.type_name)
        if value is None:
            return "null"
        if isinstance(value, Message):
            return value.to_json(registry=self._registry, always_emit_implicit=True)
        # A list, a map or a scalar has no JSON of its own: it is cut out of a message with it.
        part = type(message)()
        part[field] = value
        whole: Any = message_to_json_value(part, registry=self._registry, always_emit_implicit=True)
        return json.dumps(whole.get(field.json_name), ensure_ascii=False, separators=(",", ":"))

    def _field(self, message: Message[Any], name: str) -> DescField:
        key = (message.desc().type_name, name)
        found = self._fields.get(key)
        if found is None:
            found = next(field for field in message.desc().fields if field.name == name)
            self._fields[key] = found
        return found

    def _default(self, full_name: str) -> Message[Any] | None:
        """Gives what an unset message reads as; a well-known type has no JSON for that but null."""
        return None if full_name in fields.WELL_KNOWN else self._type(full_name)()

    def from_json(self, full_name: str, value: Json) -> bytes:
        """Reads a parsed JSON value (of dicts, not Members) as wire bytes.

        Raises NotConvertible.
        """
        try:
            message = message_from_json_value(self._type(full_name), value, registry=self._registry)
            return message.to_binary()
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise NotConvertible(str(error)) from error

    def _type(self, full_name: str) -> type[Message[Any]]:
        found = self._types.get(full_name)
        if found is None:
            descriptor = self._registry.message(full_name)
            if descriptor is None:
                raise NotConvertible(f"{full_name} is not known")
            found = self._types[full_name] = descriptor.type
        return found
