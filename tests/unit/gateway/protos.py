"""Compiles protos for tests and binds requests to them without any HTTP."""

import importlib.resources
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import google.api
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from gateway.transcoding import bindings, descriptors
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.percent import Decoding
from gateway.transcoding.request import HeaderField, RequestBinder, RequestHead
from gateway.transcoding.router import Match

CONTRACTS = Path(__file__).parents[3] / "proto"
EVERYTHING = Path(__file__).with_name("everything.proto")

HEADER = """
syntax = "proto3";
package bad.v1;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
"""


@cache
def compiled(source: str) -> FileDescriptorSet:
    """Compiles the text of a proto file, with its comments, into a closed set."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "test.proto")
        file.write_text(source)
        out = Path(folder, "out.binpb")
        grpc_tools = importlib.resources.files("grpc_tools") / "_proto"
        googleapis = Path(google.api.__path__[0]).parent.parent
        arguments = [
            "protoc",
            f"-I{folder}",
            f"-I{grpc_tools}",
            f"-I{googleapis}",
            f"-I{CONTRACTS}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={out}",
            str(file),
        ]
        if protoc.main(arguments):
            raise ValueError(f"protoc refused\n{source}")
        return FileDescriptorSet.FromString(out.read_bytes())


@cache
def everything() -> Descriptors:
    """The descriptors of everything.proto."""
    return descriptors.from_set(compiled(EVERYTHING.read_text()))


@cache
def codec() -> Codec:
    """A codec for everything.proto."""
    return Codec(everything().files)


def bound(
    line: str,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    ignore_unknown_fields: bool = False,
    decoding: Decoding = Decoding.EXCEPT_SLASH,
    header_fields: tuple[HeaderField, ...] = (),
) -> dict[str, Any]:
    """Binds `GET /path?query` and gives the message as JSON with proto names.

    What is bound can also be written. Raises StatusError as the binder does.
    """
    method, target = line.split(" ", 1)
    path, _, query = target.partition("?")
    found = _router().match(method, path)
    assert isinstance(found, Match), f"no route for {line}"
    reader = JsonReader(codec=codec(), ignore_unknown_fields=ignore_unknown_fields)
    binder = RequestBinder(found.route, reader, decoding=decoding, header_fields=header_fields)
    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    wire = binder.bind(RequestHead(segments=found.segments, query=query, headers=given), body)
    name = found.route.method.input.full_name
    assert codec().to_json(name, wire)
    message = everything().message_class(name).FromString(wire)
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=everything().pool
    )


@cache
def _router() -> Any:
    return bindings.route(bindings.read(everything()))
