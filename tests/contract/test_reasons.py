"""Every reason that an error can have is documented in a contract, with the code it comes with."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import services
from services.mesh import errors
from services.mesh.errors import DomainError
from tests.contract.contracts import SERVICES

_CONTRACTS = Path(__file__).parents[2] / "proto" / "gen" / "souk.binpb"
_PREFIX = "ERROR_REASON_"
_ENUM_TYPE, _VALUE = 5, 2  # field numbers in FileDescriptorProto and EnumDescriptorProto


@cache
def documented(area: str) -> dict[str, str]:
    """Return the code that the contract of `area` gives in the comment of each reason."""
    contracts = descriptor_pb2.FileDescriptorSet.FromString(_CONTRACTS.read_bytes())
    return {
        reason: code
        for file in contracts.file
        if file.package == f"souk.{area}.v1"
        for reason, code in _reasons(file)
    }


def _reasons(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    comments = {
        tuple(location.path): location.leading_comments.replace("\n", " ")
        for location in file.source_code_info.location
    }
    for enum_index, enum in enumerate(file.enum_type):
        if enum.name == "ErrorReason":
            for index, value in enumerate(enum.value):
                comment = comments.get((_ENUM_TYPE, enum_index, _VALUE, index), "")
                code = re.search(r"\(`([A-Z_]+)`\)", comment)
                yield value.name.removeprefix(_PREFIX), code[1] if code else ""


def raised(area: str) -> list[type[DomainError]]:
    """Return the error classes that the code of `area` defines."""
    package = importlib.import_module(f"services.{area}")
    for module in pkgutil.walk_packages(package.__path__, f"services.{area}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [
        error
        for error in _subclasses(DomainError)
        if error.__module__.startswith(f"services.{area}.") and "reason" in vars(error)
    ]


def _subclasses(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for error in kind.__subclasses__():
        yield error
        yield from _subclasses(error)


@pytest.mark.parametrize("area", [*SERVICES, "mesh"])
def test_every_reason_is_documented_with_its_code(area: str):
    """An error's reason stands in its service's contract or in the mesh's, with its code.

    What the mesh offers to services, such as etags, is documented by those that use it. A reason
    without a code says how an order ended; its error does not reach a caller.
    """
    contracts = [area, "mesh"] if area != "mesh" else ["mesh", *SERVICES]
    told = {
        reason: code for name in reversed(contracts) for reason, code in documented(name).items()
    }
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}

    undocumented = [
        f"{error.__name__}: {error.reason} is {error.code}, documented as {told.get(error.reason)}"
        for error in raised(area)
        if error not in kinds and told.get(error.reason) not in {error.code, ""}
    ]

    assert undocumented == []


@pytest.mark.parametrize("area", SERVICES)
def test_no_reason_is_documented_that_is_never_given(area: str):
    """What a contract tells of, the code or the mesh can raise."""
    given = {error.reason for error in [*raised(area), *raised("mesh")]}
    told = {reason for reason, code in documented(area).items() if code}

    assert told - given == set()


def test_the_services_are_those_tested():
    """Every package of a service with contracts is among the tested ones."""
    packages = {module.name for module in pkgutil.iter_modules(services.__path__) if module.ispkg}

    assert packages - {"local", "mesh", "sandbox"} == set(SERVICES)
