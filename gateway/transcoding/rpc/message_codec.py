"""Reads and writes the messages of a method as protobuf or as JSON."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from gateway.transcoding import fields, json_text
from gateway.transcoding.codec import Codec, NotConvertible
from gateway.transcoding.errors import internal, refuse
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.json_text import BadJson

Format = Literal["proto", "json"]

FORMATS: Final[dict[str, Format]] = {"proto": "proto", "json": "json"}
"""The formats by their names on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCodec:
    """Reads and writes messages of the types of one set of files."""

    codec: Codec
    reader: JsonReader

    def read(self, message_type: Descriptor, message: bytes, form: Format) -> bytes:
        """Gives the wire bytes of a message. Raises StatusError.

        Protobuf is handed on as it came: whether it is a message, the service says.
        """
        if form == "proto":
            return message
        try:
            value = json_text.parse(message)
        except BadJson as error:
            raise refuse("", str(error)) from None
        new: Any = message_factory.GetMessageClass(message_type)
        read = new()
        if message_type.full_name in fields.WELL_KNOWN:
            self.reader.read_well_known(read, value, "")
        else:
            self.reader.read_message(read, value, "")
        wire = bytes(read.SerializePartialToString())
        try:
            # A level of JSON is up to three of the wire, and services read no more than a hundred.
            new.FromString(wire)
        except DecodeError:
            raise refuse("", f"nested deeper than {json_text.MAX_DEPTH}") from None
        return wire

    def write(self, message_type: Descriptor, wire: bytes, form: Format) -> bytes:
        """Writes wire bytes in a format. Raises StatusError if they are no message."""
        if form == "proto":
            return wire
        try:
            return self.codec.to_json(message_type.full_name, wire)
        except NotConvertible as error:
            raise internal() from error
