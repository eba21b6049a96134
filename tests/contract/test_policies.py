"""What must hold of every contract, whatever it is about."""

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from services.user.domain import Role
from souk.mesh.v1 import rates_pb2
from souk.mesh.v1.policy_pb2 import Access, RateClass, rate_limits
from tests.contract.contracts import RPCS, SERVICES, Rpc
from tests.contract.valid import rules_of

_IDEMPOTENT = descriptor_pb2.MethodOptions.IDEMPOTENT
_NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
_READS = ("Get", "BatchGet", "List", "Watch", "Replay")

every_rpc = pytest.mark.parametrize("rpc", RPCS, ids=str)


@every_rpc
def test_an_rpc_has_a_route_unless_it_is_internal(rpc: Rpc):
    """People reach an RPC over REST; only services reach one without a route."""
    has_route = rpc.method.GetOptions().HasExtension(annotations_pb2.http)  # type: ignore[arg-type]  # its stubs lack the extension type

    assert has_route == (rpc.policy.access != Access.ACCESS_INTERNAL)


@every_rpc
def test_an_rpc_that_only_reads_says_so(rpc: Rpc):
    """What a name promises, the option tells to clients: reads may be repeated."""
    level = rpc.method.GetOptions().idempotency_level

    assert (level == _NO_SIDE_EFFECTS) == rpc.method.name.startswith(_READS)


@every_rpc
def test_a_repeatable_write_needs_its_key(rpc: Rpc):
    """The field that makes a repeated call the same call can't be left empty."""
    if rpc.method.GetOptions().idempotency_level != _IDEMPOTENT:
        return
    key = rpc.method.input_type.fields_by_name[rpc.policy.idempotency_key or "request_id"]
    rules = rules_of(key)

    assert rules.string.uuid or rules.string.min_len >= 1
    assert not rules.ignore


@every_rpc
def test_a_policy_names_roles_and_services_that_exist(rpc: Rpc):
    """A misspelt role or service would silently be nobody."""
    policy = rpc.policy

    assert {*policy.roles, *policy.owner.except_roles} <= set(Role)
    assert set(policy.callers) <= set(SERVICES)


def test_every_rate_class_has_numbers():
    """A class without numbers would not limit anything."""
    limits = rates_pb2.DESCRIPTOR.GetOptions().Extensions[rate_limits].limits

    assert {limit.rate for limit in limits} == {
        number for number in RateClass.values() if number != RateClass.RATE_CLASS_UNSPECIFIED
    }
    assert all(limit.per_address_per_minute > 0 for limit in limits)
