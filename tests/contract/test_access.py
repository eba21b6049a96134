"""Every RPC refuses every caller that its policy refuses, and admits every other one.

The matrix is every RPC by every identity of the mesh, and for the identities that face people by
every kind of person. What is expected is worked out here from the policy alone; what is admitted
may then fail for any reason of the service's own.
"""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from services.local import certs
from services.user import signing_keys
from services.user.domain import Role
from services.user.signing_keys import SigningKeys
from souk.mesh.v1.policy_pb2 import Access, Policy
from tests.contract.conftest import ChannelAs, CreateChannel
from tests.contract.contracts import MODULES, Rpc
from tests.contract.shop import IDENTITIES, Shop

EDGE = ("gateway", "developer")
PERSONS = ("nobody", "customer", *(str(role) for role in Role))
IMPOSTORS = ("expired", "forged", "garbage")
REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)

# A stream that is admitted stays open; this is how long it is listened to.
_SECONDS = 0.5


def callers() -> Iterator[tuple[str, str]]:
    """Tell every kind of caller: the identity of the service, and the person behind it."""
    for identity in IDENTITIES:
        for person in (*PERSONS, *IMPOSTORS) if identity in EDGE else ("nobody",):
            yield identity, person


def expected(policy: Policy, identity: str, person: str) -> grpc.StatusCode | None:
    """Return the code that the caller is refused with, None if it is admitted."""
    is_internal = policy.access == Access.ACCESS_INTERNAL
    if person in IMPOSTORS and policy.access not in {Access.ACCESS_PUBLIC, Access.ACCESS_INTERNAL}:
        return grpc.StatusCode.UNAUTHENTICATED
    if identity not in policy.callers and (is_internal or identity not in EDGE):
        return grpc.StatusCode.PERMISSION_DENIED
    if is_internal or identity in policy.callers or policy.access == Access.ACCESS_PUBLIC:
        return None
    if person == "nobody":
        return grpc.StatusCode.UNAUTHENTICATED
    if policy.access == Access.ACCESS_ROLE and person not in policy.roles:
        return grpc.StatusCode.PERMISSION_DENIED
    return None


@pytest.fixture(scope="module")
def forged_keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    """Makes keys that have the name of the shop's and are not."""
    folder = tmp_path_factory.mktemp("forged")
    signing_keys.create(folder, "only")
    return SigningKeys(folder)


@pytest.fixture(scope="module")
def tokens(shop: Shop, forged_keys: SigningKeys) -> dict[str, str]:
    """Gives an access token for every kind of person that has one."""
    return {
        "customer": shop.token(),
        **{str(role): shop.token(role) for role in Role},
        "expired": shop.token(*Role, age=timedelta(minutes=11)),
        "forged": shop.token(*Role, keys=forged_keys),
        "garbage": "garbage",
    }


@pytest.mark.parametrize(("identity", "person"), [*callers()])
def test_a_caller_is_admitted_as_the_policy_says(
    rpc: Rpc,
    identity: str,
    person: str,
    tokens: dict[str, str],
    channel_as: ChannelAs,
):
    """An empty request tells who is let in: it comes as far as the service's own checks, or not."""
    metadata = [("authorization", f"Bearer {tokens[person]}")] if person in tokens else []
    code: grpc.StatusCode | None = None
    try:
        rpc.call(channel_as(identity), rpc.request_type(), metadata=metadata, timeout=_SECONDS)
    except grpc.RpcError as error:
        code = error.code()

    refusal = code if code in REFUSALS else None
    assert refusal == expected(rpc.policy, identity, person)


@pytest.mark.parametrize("process", MODULES, indirect=True)
@pytest.mark.parametrize("stranger", ["no certificate", "another authority"])
def test_a_stranger_does_not_even_connect(
    stranger: str, shop: Shop, grpc_create_channel: CreateChannel
):
    """Without a certificate of the mesh's own authority there is no connection."""
    ca = (shop.certs_folder / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(ca)
    if stranger == "another authority":
        impostor = certs.issue(certs.make_ca(), "gateway")
        credentials = grpc.ssl_channel_credentials(ca, impostor.key_pem, impostor.certificate_pem)
    with grpc_create_channel(credentials) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(_SECONDS)
