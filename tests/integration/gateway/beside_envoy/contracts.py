"""Contracts that nobody would write: Hypothesis draws messages, bindings and path templates.

Contract = messages M0, M1, .. of every kind of field; one service; bindings of every kind
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.api import annotations_pb2, http_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
)
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from tests.integration.gateway.beside_envoy.bindings import Bound
from tests.integration.gateway.beside_envoy.bindings import bindings as bindings_of
from tests.integration.gateway.beside_envoy.message_types import PACKAGE, enum_type, message_types
from tests.integration.gateway.beside_envoy.outcomes import Ask

SERVICE: Final = f"{PACKAGE}.Generated"
_IMPORTED: Final = FileDescriptorSet(
    file=[
        FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for module in (
            *(descriptor_pb2, http_pb2, annotations_pb2, any_pb2, duration_pb2, empty_pb2),
            *(field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2),
        )
    ]
)
_METHODS: Final = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A drawn contract."""

    files: FileDescriptorSet = field(repr=False)
    bindings: tuple[Bound, ...] = field(repr=False)
    pool: descriptor_pool.DescriptorPool = field(repr=False)

    def new(self, message: Descriptor) -> Any:
        """Makes an empty message."""
        return message_factory.GetMessageClass(message)()

    def route(self, ask: Ask) -> Bound | None:
        """Gives the binding that is to take a request: the most specific one."""
        path = ask.target.partition("?")[0]
        found = [each for each in self.bindings if each.http_method == ask.method]
        found = [each for each in found if each.takes(path)]
        return min(found, key=lambda each: each.generality(), default=None)


def contract(number: int) -> Contract:
    """Gives a contract, the same for the same number."""
    drawn: list[Contract] = []

    @seed(number)
    @settings(max_examples=6, database=None, phases=[Phase.generate], deadline=None)
    @given(contracts())
    def keep(value: Contract) -> None:
        drawn.append(value)

    keep()
    # The first ones are small.
    return max(drawn, key=lambda each: len(each.bindings))


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Draws a contract."""
    file = FileDescriptorProto(
        name="gen.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=[file.name for file in _IMPORTED.file],
    )
    file.enum_type.append(enum_type())
    count = draw(st.integers(2, 4))
    for number in range(count):
        file.message_type.append(draw(message_types(number)))
    pool = _pool(file)
    names = [f"M{number}" for number in range(count)]
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    bindings: list[Bound] = []
    taken: set[tuple[str, tuple[str, ...], str]] = set()
    for number in range(draw(st.integers(4, 14))):
        input_name, output_name = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        method = service.method.add(
            name=f"Call{number}",
            input_type=f".{PACKAGE}.{input_name}",
            output_type=f".{PACKAGE}.{output_name}",
        )
        drawn = []
        for _ in range(draw(st.integers(1, 3))):
            each = draw(
                bindings_of(
                    f"/{SERVICE}/{method.name}",
                    pool.FindMessageTypeByName(f"{PACKAGE}.{input_name}"),
                    pool.FindMessageTypeByName(f"{PACKAGE}.{output_name}"),
                )
            )
            key = (each.http_method, each.segments, each.verb)
            if key not in taken:
                taken.add(key)
                drawn.append(each)
        _annotate(method, drawn)
        bindings += drawn
    files = FileDescriptorSet(file=[*_IMPORTED.file, file])
    return Contract(files=files, bindings=tuple(bindings), pool=pool)


def _annotate(method: Any, drawn: Sequence[Bound]) -> None:
    for number, each in enumerate(drawn):
        rule = method.options.Extensions[annotations_pb2.http]
        if number:
            rule = rule.additional_bindings.add()
        if each.http_method.lower() in _METHODS:
            setattr(rule, each.http_method.lower(), each.template())
        else:
            rule.custom.CopyFrom(
                http_pb2.CustomHttpPattern(kind=each.http_method, path=each.template())
            )
        rule.body, rule.response_body = each.body, each.response_body


def _pool(file: FileDescriptorProto) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for each in (*_IMPORTED.file, file):
        pool.AddSerializedFile(each.SerializeToString())
    return pool
