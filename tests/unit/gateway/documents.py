"""The OpenAPI documents of three sets: with rules and policies, with every binding, with rules."""

import importlib.resources
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import google.api
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from gateway import access
from gateway.openapi import document
from gateway.transcoding import bindings, descriptors
from gateway.transcoding.descriptors import Descriptors
from tests.unit.gateway.protos import CONTRACTS, everything

_HERE = Path(__file__).parent
_CONTRACTS = CONTRACTS / "gen" / "souk.binpb"


def _written(found: Descriptors) -> dict[str, Any]:
    return document.write(
        found, bindings.read(found), roles_of=lambda method: access.roles_of(found, method)
    )


@cache
def shop() -> dict[str, Any]:
    """The document of the shop, whose contracts have rules and policies."""
    return _written(descriptors.from_set(descriptors.read_files([_CONTRACTS])))


@cache
def general() -> dict[str, Any]:
    """The document of everything.proto, which has neither, but every kind of binding."""
    return _written(everything())


@cache
def described() -> dict[str, Any]:
    """The document of described.proto, which has every rule that can be told."""
    return _written(descriptors.from_set(described_set()))


@cache
def described_set() -> FileDescriptorSet:
    """Compiles described.proto, with its comments, into a closed set."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.binpb")
        code = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={_CONTRACTS}",
                f"--proto_path={_HERE}",
                f"--proto_path={importlib.resources.files('grpc_tools') / '_proto'}",
                f"--proto_path={Path(google.api.__path__[0]).parent.parent}",
                "--include_imports",
                "--include_source_info",
                f"--descriptor_set_out={out}",
                "described.proto",
            ]
        )
        assert code == 0
        return FileDescriptorSet.FromString(out.read_bytes())


DOCUMENTS = [shop, general, described]
