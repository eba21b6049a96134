"""What a contract says of its RPCs, read once from the descriptors.

The meaning of each fact stands in `proto/souk/mesh/v1/policy.proto`. An RPC whose policy is missing
or contradicts itself stops the start, with every fault listed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from souk.mesh.v1 import policy_pb2
from souk.mesh.v1.policy_pb2 import Access, Priority, RateClass

_IDEMPOTENT = descriptor_pb2.MethodOptions.IDEMPOTENT
_NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


class ContractError(Exception):
    """A contract that cannot be served; `faults` has one line for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC with its policy.

    `path` is what stands on the wire, like `/souk.order.v1.OrderService/GetOrder`. `domain` is
    `ErrorInfo.domain`, like `order.souk`. `deadline` is in seconds, None if it may stay open.
    `owner_field` is the path of the request field that names the owner, empty if there is none.
    `retriable` says that repeating the call does no harm. `priority` says what is shed first.
    `rate` is the class of how often it may be called, unspecified for what is internal.
    """

    path: str
    service: str
    name: str
    domain: str
    access: Access.ValueType
    roles: frozenset[str]
    callers: frozenset[str]
    owner_field: tuple[str, ...]
    owner_except_roles: frozenset[str]
    deadline: float | None
    retriable: bool
    priority: Priority.ValueType
    rate: RateClass.ValueType
    client_streaming: bool
    server_streaming: bool
    request_type: Descriptor
    response_type: Descriptor

    @property
    def kind(self) -> str:
        """Return `unary`, `server_stream`, `client_stream` or `bidi_stream`."""
        if self.client_streaming:
            return "bidi_stream" if self.server_streaming else "client_stream"
        return "server_stream" if self.server_streaming else "unary"


def policy_of(method: MethodDescriptor) -> policy_pb2.Policy | None:
    """Return the RPC's policy option, or None if it has none; from a descriptor of any pool."""
    options = _options(method)
    if not options.HasExtension(policy_pb2.policy):
        return None
    return options.Extensions[policy_pb2.policy]


def methods(services: Iterable[ServiceDescriptor]) -> list[Method]:
    """Return every RPC of the services. Raises ContractError with every fault of their policies."""
    found = [method for service in services for method in service.methods]
    faults = [fault for method in found for fault in _faults(method)]
    if faults:
        raise ContractError(faults)
    return [_read(method) for method in found]


def _options(method: MethodDescriptor) -> descriptor_pb2.MethodOptions:
    # Read anew, since a descriptor of another pool does not know our extension.
    return descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())


def _faults(method: MethodDescriptor) -> Iterator[str]:
    policy = policy_of(method)
    if policy is None:
        yield f"{method.full_name} has no policy"
        return
    for wrong, fault in (
        (not policy.access, "does not say its access"),
        (policy.access == Access.ACCESS_ROLE and not policy.roles, "names no role"),
        (policy.access != Access.ACCESS_ROLE and policy.roles, "names roles but asks for none"),
        (policy.access == Access.ACCESS_INTERNAL and not policy.callers, "names no caller"),
        (policy.access != Access.ACCESS_INTERNAL and not policy.rate, "names no rate class"),
        (not _streams(method) and not _deadline(policy), "has no deadline"),
        (not _owner_is_text(method, policy), "names an owner field that is no string field"),
        (not _has_idempotency_key(method, policy), "is idempotent but lacks its key field"),
    ):
        if wrong:
            yield f"the policy of {method.full_name} {fault}"


def _read(method: MethodDescriptor) -> Method:
    policy = policy_of(method) or policy_pb2.Policy()
    service = method.containing_service
    return Method(
        path=f"/{service.full_name}/{method.name}",
        service=service.full_name,
        name=method.name,
        domain=_domain(service.file.package),
        access=policy.access,
        roles=frozenset(policy.roles),
        callers=frozenset(policy.callers),
        owner_field=_path(policy),
        owner_except_roles=frozenset(policy.owner.except_roles),
        deadline=_deadline(policy),
        retriable=_options(method).idempotency_level in (_IDEMPOTENT, _NO_SIDE_EFFECTS),
        priority=policy.priority,
        rate=policy.rate,
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        request_type=method.input_type,
        response_type=method.output_type,
    )


def _streams(method: MethodDescriptor) -> bool:
    return method.client_streaming or method.server_streaming


def _deadline(policy: policy_pb2.Policy) -> float | None:
    return policy.deadline.ToTimedelta().total_seconds() or None


def _path(policy: policy_pb2.Policy) -> tuple[str, ...]:
    return tuple(filter(None, policy.owner.request_field.split(".")))


def _owner_is_text(method: MethodDescriptor, policy: policy_pb2.Policy) -> bool:
    *parents, last = _path(policy) or ("",)
    if not last:
        return True
    message: Descriptor | None = method.input_type
    for name in parents:
        field = message.fields_by_name.get(name) if message else None
        message = field.message_type if field else None
    field = message.fields_by_name.get(last) if message else None
    return field is not None and field.type == FieldDescriptor.TYPE_STRING


def _has_idempotency_key(method: MethodDescriptor, policy: policy_pb2.Policy) -> bool:
    key = policy.idempotency_key or "request_id"
    is_write = _options(method).idempotency_level == _IDEMPOTENT
    return not is_write or key in method.input_type.fields_by_name


def _domain(package: str) -> str:
    """Return `order.souk` for the package `souk.order.v1`."""
    *parts, version = package.split(".")
    return ".".join(reversed(parts)) or version
