"""The shop's contract as one descriptor set, with the comments that the stubs leave out."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor

from souk.mesh.v1 import policy_pb2

DESCRIPTORS = Path(__file__).parents[2] / "proto" / "gen" / "souk.binpb"

_SERVICE, _METHOD = 6, 2
_ENUM, _VALUE = 5, 2
_ERROR_REASON = "ErrorReason"


class NoSuchRpc(Exception):
    """The contract has no such RPC or route; the message names what comes near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to call an RPC over HTTP: `POST /v1/orders`, and which field is the body."""

    http_method: str
    path: str
    body: str

    def matches(self, http_method: str, path: str) -> bool:
        """Tells whether a request with this method and path, or this very template, is meant."""
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/:]+", re.escape(self.path))
        is_path = path == self.path or re.fullmatch(pattern, path) is not None
        return is_path and http_method.upper() == self.http_method


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One RPC with what the contract says about it."""

    service: str
    name: str
    comment: str
    options: descriptor_pb2.MethodOptions
    request: Descriptor
    streams_request: bool
    response: Descriptor
    streams_response: bool
    reasons: dict[str, str]
    """Every error reason of the RPC's package with its comment."""

    @property
    def full_name(self) -> str:
        """The name that grpcurl takes, like `souk.order.v1.OrderService/CreateOrder`."""
        return f"{self.service}/{self.name}"

    @property
    def area(self) -> str:
        """The area that its contract belongs to, and so whose it is: `order`."""
        return self.service.split(".")[1]

    @property
    def policy(self) -> policy_pb2.Policy:
        """What `souk.mesh.v1.policy` says."""
        return self.options.Extensions[policy_pb2.policy]

    @property
    def routes(self) -> list[Route]:
        """The routes of `google.api.http`, the main one first."""
        http: Any = annotations_pb2.http  # its type stubs are those of a plain descriptor
        if not self.options.HasExtension(http):
            return []
        rule: http_pb2.HttpRule = self.options.Extensions[http]
        return [_route(each) for each in (rule, *rule.additional_bindings)]


@functools.cache
def rpcs() -> list[Rpc]:
    """Returns every RPC of the shop, in the order of the contract's files."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    reasons: dict[str, dict[str, str]] = {}
    for file in files:
        reasons.setdefault(file.package, {}).update(_reasons(file))
    return [rpc for file in files for rpc in _of_file(file, pool, reasons[file.package])]


def grpc_services(service: str) -> list[str]:
    """Returns the full names of what `service` answers for: all of the area of its name."""
    return sorted({rpc.service for rpc in rpcs() if rpc.area == service})


def callees(service: str) -> list[str]:
    """Returns the services with an RPC that `service` may call on its own behalf."""
    return sorted({rpc.area for rpc in rpcs() if service in rpc.policy.callers})


def find(what: str) -> Rpc:
    """Returns the RPC named like `OrderService/CreateOrder`, its package optional, or by a route.

    The name alone will do if no other RPC has it. Raises NoSuchRpc.
    """
    everything = rpcs()
    http_method, _, path = what.partition(" ")
    for rpc in everything:
        if rpc.full_name == what or rpc.full_name.endswith(f".{what}"):
            return rpc
        if path and any(route.matches(http_method, path.strip()) for route in rpc.routes):
            return rpc
    named = [rpc for rpc in everything if rpc.name == what]
    if len(named) == 1:
        return named[0]
    near = [
        rpc.full_name
        for rpc in everything
        if what.rpartition("/")[2].lower() in rpc.full_name.lower()
    ]
    hint = f"; did you mean {', '.join(near[:5])}?" if near else ""
    raise NoSuchRpc(f"the contract has no RPC or route {what!r}{hint}")


def _of_file(
    file: descriptor_pb2.FileDescriptorProto,
    pool: descriptor_pool.DescriptorPool,
    reasons: dict[str, str],
) -> Iterator[Rpc]:
    if not file.package.startswith("souk."):
        return
    comments = _comments(file)
    for place, service in enumerate(file.service):
        for index, method in enumerate(service.method):
            yield Rpc(
                service=f"{file.package}.{service.name}",
                name=method.name,
                comment=comments.get((_SERVICE, place, _METHOD, index), ""),
                options=method.options,
                request=pool.FindMessageTypeByName(method.input_type.lstrip(".")),
                streams_request=method.client_streaming,
                response=pool.FindMessageTypeByName(method.output_type.lstrip(".")),
                streams_response=method.server_streaming,
                reasons=reasons,
            )


def _reasons(file: descriptor_pb2.FileDescriptorProto) -> dict[str, str]:
    """Returns the values of `ErrorReason` without their prefix, each with its comment."""
    comments = _comments(file)
    return {
        value.name.removeprefix("ERROR_REASON_"): comments.get((_ENUM, place, _VALUE, index), "")
        for place, enum in enumerate(file.enum_type)
        if enum.name == _ERROR_REASON
        for index, value in enumerate(enum.value)
        if value.number
    }


def _comments(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Returns the leading comments as one line each, by the path of what they stand before."""
    return {
        tuple(location.path): " ".join(location.leading_comments.split())
        for location in file.source_code_info.location
        if location.leading_comments
    }


def _route(rule: http_pb2.HttpRule) -> Route:
    kind = rule.WhichOneof("pattern") or ""
    if kind == "custom":
        return Route(http_method=rule.custom.kind, path=rule.custom.path, body=rule.body)
    return Route(http_method=kind.upper(), path=getattr(rule, kind), body=rule.body)
