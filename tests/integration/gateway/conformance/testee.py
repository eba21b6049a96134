"""Answers protobuf's conformance runner with the gateway's JSON: `testee.py DESCRIPTORS.binpb`.

The runner (conformance.proto) writes requests to standard input and reads responses, each after
its length as four bytes, little endian. What isn't JSON in or out is skipped: the gateway reads
and writes nothing else.
"""

import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from gateway.transcoding import descriptors, json_text
from gateway.transcoding.codec import Codec, NotConvertible
from gateway.transcoding.errors import StatusError
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.json_text import BadJson

_LENGTH = struct.Struct("<I")


class Testee:
    """Answers requests about the messages of one descriptor set."""

    def __init__(self, descriptor_set: Path) -> None:
        self._descriptors = descriptors.from_set(descriptors.read_files([descriptor_set]))
        self._codec = Codec(self._descriptors.files)
        self._request = self._descriptors.message_class("conformance.ConformanceRequest")
        self._response = self._descriptors.message_class("conformance.ConformanceResponse")
        enums = self._request.DESCRIPTOR.file.enum_types_by_name
        formats = enums["WireFormat"].values_by_name
        self._protobuf, self._json = formats["PROTOBUF"].number, formats["JSON"].number
        categories = enums["TestCategory"].values_by_name
        self._ignoring = categories["JSON_IGNORE_UNKNOWN_PARSING_TEST"].number

    def serve(self, requests: BinaryIO, responses: BinaryIO) -> None:
        """Answers requests until there are no more."""
        while length := requests.read(_LENGTH.size):
            request = self._request.FromString(requests.read(_LENGTH.unpack(length)[0]))
            response = self._response(**self._answer(request)).SerializeToString()
            responses.write(_LENGTH.pack(len(response)) + response)
            responses.flush()

    def _answer(self, request: Any) -> dict[str, Any]:
        payload = request.WhichOneof("payload")
        wanted = request.requested_output_format
        spoken = (self._protobuf, self._json)
        if payload not in ("protobuf_payload", "json_payload") or wanted not in spoken:
            return {"skipped": "the gateway speaks protobuf and JSON"}
        if payload == "protobuf_payload" and wanted == self._protobuf:
            return {"skipped": "the gateway hands messages on as they are"}
        try:
            wire = self._wire(request, payload)
        except (StatusError, BadJson, DecodeError) as error:
            return {"parse_error": str(error)}
        if wanted == self._protobuf:
            return {"protobuf_payload": wire}
        try:
            return {"json_payload": self._codec.to_json(request.message_type, wire).decode()}
        except NotConvertible as error:
            # The codec both reads the message and writes it.
            kind = "parse_error" if self._is_malformed(request, wire) else "serialize_error"
            return {kind: str(error)}

    def _wire(self, request: Any, payload: str) -> bytes:
        if payload == "protobuf_payload":
            return bytes(request.protobuf_payload)
        message = self._descriptors.message_class(request.message_type)()
        ignores = request.test_category == self._ignoring
        reader = JsonReader(codec=self._codec, ignore_unknown_fields=ignores)
        value = json_text.parse(request.json_payload.encode(errors="surrogatepass"))
        reader.read_message(message, value, "")
        return bytes(message.SerializePartialToString())

    def _is_malformed(self, request: Any, wire: bytes) -> bool:
        try:
            self._descriptors.message_class(request.message_type).FromString(wire)
        except DecodeError:
            return True
        return False


if __name__ == "__main__":
    Testee(Path(sys.argv[1])).serve(sys.stdin.buffer, sys.stdout.buffer)
