"""Every rule of every request is enforced, and the field that breaks it is named."""

import grpc
import pytest
from google.rpc import error_details_pb2

from services.user.domain import Role
from souk.mesh.v1.policy_pb2 import Access
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import Rpc
from tests.contract.details import details_of
from tests.contract.shop import Shop
from tests.contract.violations import Broken


def test_a_broken_rule_is_refused_by_name(
    rpc: Rpc, broken: Broken, shop: Shop, channel_as: ChannelAs
):
    """A request that is valid but for one rule is INVALID_ARGUMENT, with the field and the rule."""
    is_internal = rpc.policy.access == Access.ACCESS_INTERNAL
    channel = channel_as(rpc.policy.callers[0] if is_internal else "developer")
    metadata = [] if is_internal else [("authorization", f"Bearer {shop.token(*Role)}")]

    with pytest.raises(grpc.RpcError) as raised:
        rpc.call(channel, broken.request(rpc.request_type), metadata=metadata, timeout=30)

    violations = details_of(raised.value, error_details_pb2.BadRequest).field_violations
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (broken.path, broken.rule_id) in {(each.field, each.reason) for each in violations}
