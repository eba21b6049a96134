"""No value of any field makes a service fail: it is taken, or refused for what it is."""

from uuid import UUID

import grpc
import pytest

from services.user.domain import Role
from souk.mesh.v1.policy_pb2 import Access
from souk.user.v1.user_service_pb2_grpc import UserServiceStub
from tests.contract import test_user
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import Rpc
from tests.contract.shop import Shop
from tests.contract.strange import strange_requests
from tests.contract.tables import Desk

FAILURES = (
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


@pytest.fixture(scope="module")
def user_id(shop: Shop, channel_as: ChannelAs) -> str:
    """Opens an account, so that the caller has one."""
    stub = UserServiceStub(channel_as("developer", "user"))
    return test_user.register(Desk(shop=shop, stub=stub, channel_as=channel_as)).user_id


def test_no_strange_value_makes_a_service_fail(
    rpc: Rpc, shop: Shop, channel_as: ChannelAs, user_id: str
):
    """Whatever the value is, the answer is not the service's fault."""
    is_internal = rpc.policy.access == Access.ACCESS_INTERNAL
    channel = channel_as(rpc.policy.callers[0] if is_internal else "developer")
    token = shop.token(*Role, user_id=UUID(user_id))
    metadata = [] if is_internal else [("authorization", f"Bearer {token}")]

    failures = []
    for request in strange_requests(rpc.request_type, user_id=user_id):
        try:
            rpc.call(channel, request, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            if error.code() in FAILURES:
                failures.append((error.code().name, error.details(), request))

    assert [] == failures
