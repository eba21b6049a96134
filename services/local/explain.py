"""`souk explain`: all that follows from the contract for one RPC, as lines of text.

routes ─ access ─ callers ─ owner ─ deadline ─ retry ─ rate ─ priority ─ objective ─ fields ─ errors
"""

import textwrap
from collections.abc import Iterator

from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, duration_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.local.contract import Rpc
from services.mesh import rates
from services.mesh.settings import MeshSettings
from souk.mesh.v1.policy_pb2 import Access, Policy, Priority, RateClass

_WIDTH = 11
_IDEMPOTENCY = descriptor_pb2.MethodOptions.IdempotencyLevel


def explain(rpc: Rpc, width: int | None = None) -> Iterator[str]:
    """Yields the lines for one RPC, none wider than `width` if that is given and can be."""
    policy = rpc.policy
    yield rpc.full_name
    yield from _fitted("  ", rpc.comment, width, below="  ")
    yield ""
    for name, values in (
        ("request", [_message(rpc.request, streams=rpc.streams_request)]),
        ("response", [_message(rpc.response, streams=rpc.streams_response)]),
        ("routes", _routes(rpc)),
        ("access", [_access(policy)]),
        ("callers", [_callers(policy)]),
        ("owner", [_owner(policy)]),
        ("deadline", [_deadline(policy)]),
        ("retry", [_retry(rpc)]),
        ("rate", [_rate(policy)]),
        ("priority", [_word(Priority.Name(policy.priority), "PRIORITY_") or "normal"]),
        ("objective", [_objective(policy)]),
        ("fields", list(_fields(rpc.request, "")) or ["none"]),
        ("errors", list(_errors(rpc))),
    ):
        for place, value in enumerate(values):
            start = f"  {name if place == 0 else '':<{_WIDTH}}"
            yield from _fitted(start, value, width, below=" " * len(start))


def _fitted(start: str, text: str, width: int | None, *, below: str) -> list[str]:
    if width is None:
        return [start + text]
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=below,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _message(descriptor: Descriptor, *, streams: bool) -> str:
    return f"{'stream of ' if streams else ''}{descriptor.full_name}"


def _routes(rpc: Rpc) -> list[str]:
    routes = [
        f"{route.http_method} {route.path}{f'   body: {route.body}' if route.body else ''}"
        for route in rpc.routes
    ]
    return routes or ["none: gRPC only"]


def _access(policy: Policy) -> str:
    return {
        Access.ACCESS_PUBLIC: "anybody",
        Access.ACCESS_USER: "any signed-in person",
        Access.ACCESS_ROLE: f"who holds one of: {', '.join(policy.roles)}",
        Access.ACCESS_INTERNAL: "services only, never a person",
    }.get(policy.access, "nobody: the policy does not say")


def _callers(policy: Policy) -> str:
    """The mesh lets whoever faces people in, unless the RPC is internal."""
    internal = policy.access == Access.ACCESS_INTERNAL
    facing = () if internal else MeshSettings().edge_services
    return ", ".join((*facing, *policy.callers))


def _owner(policy: Policy) -> str:
    if not policy.HasField("owner"):
        return "nobody's in particular"
    owner = policy.owner
    whose = (
        f"`{owner.request_field}` must be the caller"
        if owner.WhichOneof("by") == "request_field"
        else "what is looked up must be the caller's own"
    )
    beside = f", unless: {', '.join(owner.except_roles)}" if owner.except_roles else ""
    return f"{whose}, else NOT_FOUND{beside}"


def _deadline(policy: Policy) -> str:
    if not policy.HasField("deadline"):
        return "none: the stream may stay open"
    return f"{policy.deadline.ToTimedelta().total_seconds():g} s"


def _retry(rpc: Rpc) -> str:
    level = rpc.options.idempotency_level
    if level == _IDEMPOTENCY.Value("NO_SIDE_EFFECTS"):
        return "yes: it has no side effects"
    if level == _IDEMPOTENCY.Value("IDEMPOTENT"):
        key = rpc.policy.idempotency_key or "request_id"
        return f"yes: `{key}` makes a repeated call the same call"
    return "no: it is neither free of side effects nor idempotent"


def _rate(policy: Policy) -> str:
    if not policy.rate:
        return "not limited"
    limit = rates.rate_limit(policy.rate)
    per_user = limit.per_user_per_minute
    parts = [
        f"{limit.per_address_per_minute} a minute per address",
        *([f"{per_user} per user"] if per_user else []),
        f"{limit.per_partner_per_minute} per partner",
    ]
    return f"{_word(RateClass.Name(policy.rate), 'RATE_CLASS_')}: {', '.join(parts)}"


def _objective(policy: Policy) -> str:
    if not policy.HasField("objective"):
        return "nothing is promised"
    objective = policy.objective
    milliseconds = objective.latency.ToMilliseconds()
    return (
        f"{objective.availability_percent:g} % do not fail, 99 % are answered in {milliseconds} ms"
    )


def _fields(message: Descriptor, prefix: str) -> Iterator[str]:
    """Yields each field of a request with its rules; messages of our own are opened."""
    for field in message.fields:
        name = f"{prefix}{field.name}{'[]' if field.is_repeated else ''}"
        yield f"{name}: {_type(field)}{''.join(f'; {rule}' for rule in _rules(field))}"
        inner = field.message_type
        if inner and inner.full_name.startswith("souk.") and inner.full_name not in prefix:
            yield from _fields(inner, f"{name}.")


def _type(field: FieldDescriptor) -> str:
    if field.message_type:
        return str(field.message_type.full_name)
    if field.enum_type:
        return str(field.enum_type.full_name)
    names = descriptor_pb2.FieldDescriptorProto.Type
    return _word(names.Name(names.ValueType(field.type)), "TYPE_")


def _rules(field: FieldDescriptor) -> Iterator[str]:
    # Options of a pool of our own are of its own classes: read them as the generated ones.
    options = descriptor_pb2.FieldOptions.FromString(field.GetOptions().SerializeToString())
    if options.debug_redact:
        yield "never logged"
    if options.HasExtension(validate_pb2.field):
        yield from _flat(options.Extensions[validate_pb2.field])


def _flat(rules: Message) -> Iterator[str]:
    """Yields rules as `max_len: 64`; a rule in CEL by the sentence it answers with."""
    for field, value in rules.ListFields():
        if field.name in ("cel", "cel_expression"):
            yield from (rule.message or rule.expression for rule in value)
        elif isinstance(value, duration_pb2.Duration):
            yield f"{field.name}: {value.ToTimedelta().total_seconds():g} s"
        elif isinstance(value, Message):
            yield from _flat(value)
        elif field.enum_type:
            yield f"{field.name}: {field.enum_type.values_by_number[value].name}"
        elif field.is_repeated:
            yield f"{field.name}: {', '.join(map(str, value))}"
        else:
            yield field.name if value is True else f"{field.name}: {value}"


def _errors(rpc: Rpc) -> Iterator[str]:
    """Yields what the mesh answers, the reasons that the RPC's comment names, then the others."""
    yield f"by the mesh: {', '.join(_codes(rpc.policy))}"
    named = [reason for reason in rpc.reasons if f"`{reason}`" in rpc.comment]
    for reason in named:
        yield f"{reason}: {rpc.reasons[reason]}"
    others = [reason for reason in rpc.reasons if reason not in named]
    if others:
        yield f"further reasons of this service: {', '.join(others)}"


def _codes(policy: Policy) -> Iterator[str]:
    """Yields the codes with which the mesh refuses a call before its handler sees it."""
    yield "INVALID_ARGUMENT"
    if policy.access != Access.ACCESS_PUBLIC:
        yield from ("UNAUTHENTICATED", "PERMISSION_DENIED")
    if policy.HasField("deadline"):
        yield "DEADLINE_EXCEEDED"
    yield from ("RESOURCE_EXHAUSTED", "UNAVAILABLE")


def _word(name: str, prefix: str) -> str:
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word
