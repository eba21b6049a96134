"""Whose data a policy says an RPC touches, the RPC touches for nobody else.

Every RPC with an owner is called about one customer's data: by that customer, by another, and by
each role, straight at the service and by the gateway. Another's is answered as if it did not exist.
"""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.mesh.v1.policy_pb2 import Policy
from tests.access_summary import PROPERTY
from tests.contract import outside, test_user
from tests.contract import scene as scenes
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import RPCS, Rpc
from tests.contract.scene import Metadata, Scene
from tests.contract.shop import Shop
from tests.contract.tables import Desk

OWNED = [rpc for rpc in RPCS if rpc.policy.HasField("owner")]
# Not FAILED_PRECONDITION: what was asked for may be past it, and was found all the same.
REFUSED = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)
OWNER = "owner"

_SECONDS = 3


@pytest.fixture(scope="module")
def process() -> str:
    """Begins with the product service; the others are called as well."""
    return "product"


@pytest.fixture(scope="module")
def scene(shop: Shop, channel_as: ChannelAs) -> Scene:
    """Sets the scene."""
    return scenes.begin(Desk(shop=shop, stub=None, channel_as=channel_as))


def about(rpc: Rpc, scene: Scene) -> Message:
    """Return a request about what is the owner's in the scene."""
    known = {
        "order_id": scene.order.order_id,
        "payment_id": scene.order.payment_id,
        "user_id": scene.user_id,
    }
    request: Any = rpc.request_type()
    if rpc.method.name == "DeleteAddress":
        request.address_id = test_user.add_address(scene.users, scene.owner).address.address_id
    elif rpc.policy.owner.request_field == "user.user_id":
        request.user.user_id = scene.user_id
    else:
        for name in known.keys() & request.DESCRIPTOR.fields_by_name.keys():
            setattr(request, name, known[name])
    filled: Message = request
    return filled


def sees(policy: Policy, who: str) -> bool:
    """Say whether the policy lets this one touch what is the owner's."""
    return who == OWNER or who in policy.owner.except_roles


def callers(policy: Policy) -> list[str]:
    """Return who calls, those last who may: what they do may be done only once."""
    everybody = ("another", *(str(role) for role in Role), OWNER)
    return sorted(everybody, key=lambda who: sees(policy, who))


def shown(scene: Scene, who: str) -> Metadata:
    """Return what each of them shows."""
    if who == OWNER:
        return scene.owner
    return scene.users.person(*(() if who == "another" else (Role(who),)), user_id=new_id())


@pytest.mark.parametrize("owned", OWNED, ids=str)
def test_what_is_anothers_does_not_exist(
    owned: Rpc,
    scene: Scene,
    channel_as: ChannelAs,
    http_gateway: str,
    record_property: Callable[[str, Any], None],
):
    """Only the owner and the roles that the policy excepts get to it, whichever way they come."""
    policy, found = owned.policy, {}
    for who in callers(policy):
        request, metadata = about(owned, scene), shown(scene, who)
        straight = _straight(channel_as("developer", owned.process), owned, request, metadata)
        if sees(policy, who):
            request = about(owned, scene)
        answer = outside.call(http_gateway, owned, request, metadata, seconds=_SECONDS)
        by_gateway = _told(answer.code, is_list=_is_list(owned), is_empty=answer.is_empty)
        found[who] = (straight, by_gateway)

    record_property(PROPERTY, {"rpc": owned.path, "way": "by ownership", "cells": 2 * len(found)})
    missing = grpc.StatusCode.NOT_FOUND
    assert found == {
        who: (None, None) if sees(policy, who) else (missing, missing) for who in found
    }


def _straight(
    channel: grpc.Channel, rpc: Rpc, request: Message, metadata: Metadata
) -> grpc.StatusCode | None:
    try:
        answer = rpc.call(channel, request, metadata=metadata, timeout=_SECONDS)
    except grpc.RpcError as error:
        return _told(error.code(), is_list=False, is_empty=False)
    is_empty = answer is not None and not answer.ListFields()
    return _told(grpc.StatusCode.OK, is_list=_is_list(rpc), is_empty=is_empty)


def _is_list(rpc: Rpc) -> bool:
    return rpc.method.name.startswith("List")


def _told(code: grpc.StatusCode, *, is_list: bool, is_empty: bool) -> grpc.StatusCode | None:
    """Return the refusal, None if there is none; a list without anything in it is one."""
    if is_list and is_empty:
        return grpc.StatusCode.NOT_FOUND
    return code if code in REFUSED else None
