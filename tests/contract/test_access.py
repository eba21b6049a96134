"""The access matrix: every RPC, every kind of caller, straight at the service and by the gateway.

Each cell has one expected answer. A refusal is worked out from the policy alone; what is admitted
gets what the service says of an empty request, which is the same for all who are. How many cells
there are is printed at the end of the tests.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import protovalidate
import pytest
from google.protobuf.message import Message

from services.local import certs
from services.user import signing_keys
from services.user.domain import Role
from services.user.signing_keys import SigningKeys
from souk.mesh.v1.policy_pb2 import Access
from tests.access_summary import PROPERTY
from tests.contract import callers, outside
from tests.contract.callers import CALLERS, OUTSIDERS, STRANGERS, Caller
from tests.contract.contracts import RPCS, Rpc
from tests.contract.shop import Shop

Answer = grpc.StatusCode
Metadata = list[tuple[str, str]]

_SECONDS = 30.0
# A stream that is admitted stays open; this is how long it is listened to.
_STREAM_SECONDS = 1.0
_AT_ONCE = 12

ADMITTED: dict[str, set[Answer]] = {
    # The persons of the matrix have tokens but no accounts; a service has to name somebody.
    "UserService.GetUser": {Answer.NOT_FOUND, Answer.INVALID_ARGUMENT},
    "UserService.UpdateUser": {Answer.NOT_FOUND},
    "StorefrontService.GetAccountPage": {Answer.NOT_FOUND},
    # A list of nothing.
    "PaymentService.ListPayments": {Answer.OK},
}
"""What those who are admitted get, if not OK, or NOT_FOUND for an id that names nothing."""


@pytest.fixture(scope="module")
def forged_keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    """Makes keys that have the name of the shop's and are not."""
    folder = tmp_path_factory.mktemp("forged")
    signing_keys.create(folder, "only")
    return SigningKeys(folder)


@pytest.fixture(scope="module")
def credentials(shop: Shop, forged_keys: SigningKeys) -> dict[str, Metadata]:
    """Gives what each kind of person shows."""
    tokens = {
        "customer": shop.token(),
        **{str(role): shop.token(role) for role in Role},
        "expired": shop.token(*Role, age=timedelta(minutes=11)),
        "forged": shop.token(*Role, keys=forged_keys),
        "garbage": "garbage",
    }
    shown = {person: [_bearer(token)] for person, token in tokens.items()}
    return {
        **shown,
        "nobody": [],
        "two tokens": [_bearer(shop.token()), _bearer(shop.token(*Role))],
        callers.POSING: [("x-souk-service", "order")],
    }


@pytest.fixture(scope="module")
def channel(shop: Shop) -> Iterator[Callable[[str, str], grpc.Channel]]:
    """Opens channels: `channel("order", "user")` is that of order's identity to user."""
    with ExitStack() as stack:
        opened: dict[tuple[str, str], grpc.Channel] = {}
        ca = (shop.certs_folder / "ca.pem").read_bytes()
        impostor = certs.issue(certs.make_ca(), "gateway")
        strange = {
            "no certificate": grpc.ssl_channel_credentials(ca),
            "another authority": grpc.ssl_channel_credentials(
                ca, impostor.key_pem, impostor.certificate_pem
            ),
        }

        def open_once(identity: str, process: str) -> grpc.Channel:
            if (identity, process) not in opened:
                shown = strange.get(identity) or shop.credentials(identity)
                one = grpc.secure_channel(shop.addresses[process], shown)
                opened[identity, process] = stack.enter_context(one)
            return opened[identity, process]

        yield open_once


def _bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def expected(rpc: Rpc, refused: Answer | None, request: Message) -> set[Answer]:
    """Return the answers that are right: the refusal, or what the request gets from the service."""
    if refused is not None:
        return {refused}
    if protovalidate.collect_violations(request):
        return {Answer.INVALID_ARGUMENT}
    if str(rpc) in ADMITTED:
        return ADMITTED[str(rpc)]
    if outside.names_nothing(rpc, request):
        return {Answer.NOT_FOUND}
    return {Answer.OK, Answer.DEADLINE_EXCEEDED} if rpc.method.server_streaming else {Answer.OK}


def _patience(right: set[Answer]) -> float:
    return _STREAM_SECONDS if Answer.DEADLINE_EXCEEDED in right else _SECONDS


def _straight(channel: grpc.Channel, rpc: Rpc, metadata: Metadata, seconds: float) -> Answer:
    try:
        rpc.call(channel, rpc.request_type(), metadata=metadata, timeout=seconds)
    except grpc.RpcError as error:
        code: Answer = error.code()
        return code
    return Answer.OK


def _differing(
    asked: dict[str, Callable[[], Answer]], right: dict[str, set[Answer]]
) -> dict[str, tuple[Answer, set[Answer]]]:
    """Ask on behalf of all at once; return who got another answer than one that is right."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = {who: pool.submit(ask) for who, ask in asked.items()}
        answers = {who: future.result() for who, future in futures.items()}
    assert answers.keys() == right.keys(), "a cell is empty"
    return {who: (code, right[who]) for who, code in answers.items() if code not in right[who]}


def test_a_service_answers_every_caller_as_the_policy_says(
    rpc: Rpc,
    process: str,
    credentials: dict[str, Metadata],
    channel: Callable[[str, str], grpc.Channel],
    record_property: Callable[[str, Any], None],
):
    """Whoever calls, the service itself decides, whatever the gateway would have."""
    request = rpc.request_type()
    right = {
        str(each): expected(rpc, callers.refusal(rpc.policy, each), request) for each in CALLERS
    }

    def ask(caller: Caller) -> Answer:
        shown = credentials[caller.person]
        seconds = _patience(right[str(caller)])
        return _straight(channel(caller.identity, process), rpc, shown, seconds)

    differing = _differing({str(each): partial(ask, each) for each in CALLERS}, right)

    record_property(PROPERTY, {"rpc": rpc.path, "way": "straight", "cells": len(CALLERS)})
    assert differing == {}, f"{rpc}: {differing}"


def test_the_gateway_answers_every_caller_as_the_policy_says(
    rpc: Rpc,
    process: str,  # noqa: ARG001  # comes with each `rpc`
    credentials: dict[str, Metadata],
    http_gateway: str,
    record_property: Callable[[str, Any], None],
):
    """Whoever comes from outside is refused before a service is asked, or passed on."""
    request = outside.least(rpc)
    right = {
        each: expected(rpc, callers.refusal_outside(rpc.policy, each), request)
        for each in OUTSIDERS
    }

    def ask(person: str) -> Answer:
        headers = [
            (name if name == "authorization" else f"grpc-metadata-{name}", value)
            for name, value in credentials[person]
        ]
        seconds = _patience(right[person])
        return outside.call(http_gateway, rpc, request, headers, seconds=seconds).code

    differing = _differing({each: partial(ask, each) for each in OUTSIDERS}, right)

    record_property(PROPERTY, {"rpc": rpc.path, "way": "by the gateway", "cells": len(OUTSIDERS)})
    assert differing == {}, f"{rpc}: {differing}"


@pytest.mark.parametrize("process", ["user"], indirect=True)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_does_not_even_connect(
    stranger: str, process: str, channel: Callable[[str, str], grpc.Channel]
):
    """Without a certificate of the mesh's own authority there is no connection."""
    with pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel(stranger, process)).result(_STREAM_SECONDS)


def test_the_matrix_has_what_it_is_for():
    """There are RPCs of every access, and callers of every kind."""
    kinds = {rpc.policy.access for rpc in RPCS}

    assert set(Access.values()) - {Access.ACCESS_UNSPECIFIED} == kinds
    assert len(set(map(str, CALLERS))) == len(CALLERS)
