"""Policies are read off the descriptors, and a contract with a fault is not served."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.duration_pb2 import Duration

from services.mesh import policy
from services.mesh.policy import ContractError
from souk.mesh.v1 import policy_pb2
from souk.mesh.v1.policy_pb2 import Access, Owner, Policy, RateClass
from tests import echo

MethodOptions = descriptor_pb2.MethodOptions


def contract(
    stated: Policy | None, *, streams: bool = False, is_idempotent: bool = False
) -> ServiceDescriptor:
    """Return a service of one RPC with the policy; its request has `user_id` and `count`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="faulty.proto", package="souk.faulty.v1", syntax="proto3"
    )
    request = file.message_type.add(name="Request")
    for number, (name, kind) in enumerate((("user_id", 9), ("count", 5)), start=1):
        request.field.add(name=name, number=number, type=kind, label=1)
    rpc = file.service.add(name="Faulty").method.add(
        name="Call",
        input_type=".souk.faulty.v1.Request",
        output_type=".souk.faulty.v1.Request",
        server_streaming=streams,
    )
    options = MethodOptions()
    if stated is not None:
        options.Extensions[policy_pb2.policy].CopyFrom(stated)
    if is_idempotent:
        options.idempotency_level = MethodOptions.IDEMPOTENT
    rpc.options.CopyFrom(options)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found: ServiceDescriptor = pool.FindServiceByName("souk.faulty.v1.Faulty")
    return found


def sound(**changes: Any) -> Policy:
    """Return a policy without a fault, but for the changes."""
    stated: dict[str, Any] = {
        "access": Access.ACCESS_USER,
        "deadline": Duration(seconds=1),
        "rate": RateClass.RATE_CLASS_READ,
    }
    return Policy(**(stated | changes))


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        (None, "has no policy"),
        (sound(access=None), "does not say its access"),
        (sound(access=Access.ACCESS_ROLE), "names no role"),
        (sound(roles=["admin"]), "names roles but asks for none"),
        (sound(access=Access.ACCESS_INTERNAL), "names no caller"),
        (sound(rate=None), "names no rate class"),
        (sound(deadline=None), "has no deadline"),
        (sound(owner=Owner(request_field="owner_id")), "no string field"),
        (sound(owner=Owner(request_field="count")), "no string field"),
        (sound(owner=Owner(request_field="count.user_id")), "no string field"),
    ],
)
def test_a_faulty_policy_is_refused(stated: Policy | None, fault: str) -> None:
    """Each contradiction of a policy is told with the RPC's name."""
    with pytest.raises(ContractError) as caught:
        policy.methods([contract(stated)])
    assert len(caught.value.faults) == 1
    assert "souk.faulty.v1.Faulty.Call" in caught.value.faults[0]
    assert fault in caught.value.faults[0]


def test_an_idempotent_write_needs_its_key_field() -> None:
    """An RPC that is idempotent by a key must have the field for it."""
    with pytest.raises(ContractError, match="lacks its key field"):
        policy.methods([contract(sound(), is_idempotent=True)])


def test_all_faults_are_told_at_once() -> None:
    """A contract with several faults is told all of them."""
    with pytest.raises(ContractError) as caught:
        policy.methods([contract(Policy()), contract(None)])
    assert len(caught.value.faults) == 4


def test_a_stream_may_stay_open() -> None:
    """A stream needs no deadline."""
    assert policy.methods([contract(sound(deadline=None), streams=True)])[0].deadline is None


def test_a_policy_is_read() -> None:
    """What the contract says of an RPC is what the method has."""
    method = next(each for each in policy.methods([echo.SERVICE]) if each.name == "Own")
    expected = (
        "/souk.echo.v1.EchoService/Own",
        "echo.souk",
        "unary",
        frozenset({"order"}),
        ("owner", "user_id"),
        frozenset({"support"}),
        10.0,
        False,
    )
    actual = (
        method.path,
        method.domain,
        method.kind,
        method.callers,
        method.owner_field,
        method.owner_except_roles,
        method.deadline,
        method.retriable,
    )
    assert expected == actual


@pytest.mark.parametrize(
    ("name", "kind", "is_retriable"),
    [
        ("Public", "unary", True),
        ("Write", "unary", True),
        ("WriteOnce", "unary", False),
        ("Watch", "server_stream", True),
        ("Upload", "client_stream", False),
        ("Chat", "bidi_stream", False),
    ],
)
def test_kinds_and_retries(name: str, kind: str, *, is_retriable: bool) -> None:
    """An RPC may be repeated only if it has no side effects or is idempotent."""
    method = next(each for each in policy.methods([echo.SERVICE]) if each.name == name)
    assert (kind, is_retriable) == (method.kind, method.retriable)
