"""Holds what a set of `.proto` files says: services, messages, options and comments.

The descriptors come from files (`read_files`) or from a running server (`reflection.fetch`). They
live in a pool of their own, so any set can be served whatever this process has compiled in.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

# What every answer may carry, whether or not the set mentions it.
_ALWAYS: Final = (status_pb2, error_details_pb2)
# Imports that a set made without --include_imports lacks and this installation has.
_may_be_at_hand = re.compile(r"(?:google|buf/validate)/[a-z0-9_/]+\.proto").fullmatch


class Faults(Exception):
    """What is given cannot be served. Every fault found is listed, one line each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """An RPC."""

    service: str
    """The full name of its service, for example `shop.v1.Orders`."""
    name: str
    input: Descriptor
    output: Descriptor
    client_streaming: bool
    server_streaming: bool
    options: descriptor_pb2.MethodOptions

    @property
    def full_name(self) -> str:
        """The name as selectors have it: `shop.v1.Orders.GetOrder`."""
        return f"{self.service}.{self.name}"

    @property
    def path(self) -> str:
        """The name as gRPC has it on the wire: `/shop.v1.Orders/GetOrder`."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """A closed set of files."""

    files: tuple[FileDescriptorProto, ...]
    """Each file after those it imports."""
    pool: descriptor_pool.DescriptorPool
    methods: tuple[Method, ...]

    def comments(self) -> dict[str, str]:
        """Gives the leading comments by full name, of what has one."""
        return {name: text for file in self.files for name, text in _comments(file)}

    def services(self) -> tuple[str, ...]:
        """Lists the full names of the services, sorted."""
        return tuple(sorted({method.service for method in self.methods}))

    def message_class(self, full_name: str) -> type[Message]:
        """Finds the class of a message. Raises KeyError."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(full_name))


def read_files(paths: Sequence[Path]) -> FileDescriptorSet:
    """Reads files that hold a `google.protobuf.FileDescriptorSet` each, as one. Raises Faults."""
    faults: list[str] = []
    merged = FileDescriptorSet()
    for path in paths:
        try:
            merged.file.extend(FileDescriptorSet.FromString(path.read_bytes()).file)
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
        except DecodeError:
            hint = "; protoc --include_imports --descriptor_set_out=FILE makes one of it"
            is_source = path.suffix == ".proto"
            faults.append(f"{path}: not a file descriptor set{hint if is_source else ''}")
    if faults:
        raise Faults(faults)
    return merged


def from_set(descriptor_set: FileDescriptorSet) -> Descriptors:
    """Builds descriptors from a set, which may hold a file twice if it says the same.

    Raises Faults.
    """
    files, faults = _by_name(descriptor_set.file)
    ordered = _sorted_by_import(files, faults)
    pool = descriptor_pool.DescriptorPool()
    linked: dict[str, FileDescriptor] = {}
    for file in ordered:
        if not linked.keys() >= set(file.dependency):
            continue  # what it lacks is a fault of its own
        try:
            linked[file.name] = _link(pool, file)
        except (TypeError, KeyError) as error:
            faults.append(f"{file.name}: {_reason(error)}")
    if faults:
        raise Faults(faults)
    given = {file.name for file in descriptor_set.file}
    return Descriptors(
        files=tuple(ordered),
        pool=pool,
        methods=tuple(
            method
            for file in ordered
            if file.name in given
            for method in _methods(file, linked[file.name])
        ),
    )


def _by_name(
    files: Iterable[FileDescriptorProto],
) -> tuple[dict[str, FileDescriptorProto], list[str]]:
    found: dict[str, FileDescriptorProto] = {}
    faults: list[str] = []
    for file in files:
        known = found.setdefault(file.name, file)
        if known is not file and _without_comments(known) != _without_comments(file):
            faults.append(f"{file.name}: given twice with different content")
    return found, faults


def _without_comments(file: FileDescriptorProto) -> FileDescriptorProto:
    bare = FileDescriptorProto()
    bare.CopyFrom(file)
    bare.ClearField("source_code_info")
    return bare


def _sorted_by_import(
    files: dict[str, FileDescriptorProto], faults: list[str]
) -> list[FileDescriptorProto]:
    ordered: dict[str, FileDescriptorProto] = {}

    def add(name: str, importer: str) -> None:
        if name in ordered:
            return
        file = files.get(name) or _at_hand(name)
        if file is None:
            faults.append(
                f"{importer}: imports {name}, which no descriptor set holds;"
                " protoc --include_imports puts it there"
            )
            return
        ordered[name] = _with_json_names(file)
        for dependency in file.dependency:
            add(dependency, name)
        # A file stands after its imports: move it behind what was just added.
        ordered[name] = ordered.pop(name)

    for name in files:
        add(name, name)
    for module in _ALWAYS:
        add(module.DESCRIPTOR.name, "the gateway")
    return list(ordered.values())


def _at_hand(name: str) -> FileDescriptorProto | None:
    """Gives a file of protobuf's or Google's, None if this installation has no such one."""
    if not _may_be_at_hand(name):
        return None
    try:
        module = import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    except ImportError:
        return None
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def _with_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    """Fills in the names that protoc leaves out of generated code, and so servers of reflection."""
    messages = list(file.message_type)
    for message in messages:
        messages.extend(message.nested_type)
        for field in message.field:
            if not field.HasField("json_name"):
                first, *rest = field.name.split("_")
                field.json_name = first + "".join(part[:1].upper() + part[1:] for part in rest)
    return file


def _link(pool: descriptor_pool.DescriptorPool, file: FileDescriptorProto) -> FileDescriptor:
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).strip()


def _methods(file: FileDescriptorProto, linked: FileDescriptor) -> Iterator[Method]:
    for service in file.service:
        by_name = linked.services_by_name[service.name].methods_by_name
        for method in service.method:
            yield Method(
                service=f"{file.package}.{service.name}".lstrip("."),
                name=method.name,
                input=by_name[method.name].input_type,
                output=by_name[method.name].output_type,
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                # Of the file, not of the pool: parsed where the extensions are known.
                options=method.options,
            )


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if location.leading_comments and len(location.path) % 2 == 0:
            name = _named(file, tuple(location.path))
            if name:
                yield (
                    name,
                    "\n".join(
                        line.removeprefix(" ") for line in location.leading_comments.splitlines()
                    ).strip(),
                )


def _named(file: FileDescriptorProto, path: tuple[int, ...]) -> str | None:
    """Follows a SourceCodeInfo path (field number, index, ...) to what has a name."""
    node: Message = file
    names = [file.package] if file.package else []
    for number, index in zip(path[::2], path[1::2], strict=True):
        field = node.DESCRIPTOR.fields_by_number.get(number)
        if field is None or field.message_type is None or not field.is_repeated:
            return None
        node = getattr(node, field.name)[index]
        if "name" not in node.DESCRIPTOR.fields_by_name:
            return None
        names.append(node.name)  # type: ignore[attr-defined]  # seen to have one
    return ".".join(names)
