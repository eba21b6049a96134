"""Nothing that the contracts mark as redacted comes back in an error, whatever is wrong with it.

What the services and the gateway log of these calls, and of all others here, is searched when they
have ended (`conftest`); so are all errors that left a service, and the spans that were exported.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.mesh.v1.policy_pb2 import Access
from tests import leaks
from tests.conftest import Eventually
from tests.contract import outside
from tests.contract.conftest import ChannelAs
from tests.contract.contracts import RPCS, Rpc
from tests.contract.shop import Shop
from tests.contract.valid import fill, rules_of

_LOGIN = "souk.user.v1.UserService.Login"
_SECONDS = 30
_TOO_LONG = 3000

Plant = Callable[[str], str]

PLANTS: dict[str, Plant] = {
    "right": lambda text: text,
    "too long": lambda text: text * _TOO_LONG,
    "with a line break": lambda text: f"{text}\n{text}",
    "with the character zero": lambda text: f"{text}\0",
    "with SQL": lambda text: f"'; SELECT '{text}",
}


def redacted(message: Any) -> Iterator[tuple[Any, Any]]:
    """Give each redacted text field below `message` with what holds it."""
    for field in message.DESCRIPTOR.fields:
        if (
            field.message_type is not None
            and not field.is_repeated
            and message.HasField(field.name)
        ):
            inner = getattr(message, field.name)
            if field.GetOptions().debug_redact:
                yield from ((inner, each) for each in inner.DESCRIPTOR.fields if _is_text(each))
            else:
                yield from redacted(inner)
        elif field.GetOptions().debug_redact and _is_text(field):
            yield message, field


def _is_text(field: Any) -> bool:
    return bool(field.type == field.TYPE_STRING)


def planted(rpc: Rpc, plant: Plant) -> Message:
    """Return a request that has a secret wherever the contract says there may be one."""
    request = fill(rpc.request_type())
    for holder, field in redacted(request):
        text = plant(_secret(field))
        if field.is_repeated:
            getattr(holder, field.name)[:] = [text]
        else:
            setattr(holder, field.name, text)
    return request


def _secret(field: Any) -> str:
    if rules_of(field).string.email or field.name == "email":
        return f"{leaks.CANARY}-{new_id().hex[-8:]}@leak.example"
    return f"tok_{leaks.CANARY}" if field.name == "payment_token" else f"{leaks.CANARY} 7q2"


SECRETIVE = [rpc for rpc in RPCS if any(redacted(fill(rpc.request_type())))]


@pytest.fixture(scope="module")
def process() -> str:
    """Begins with the user service; the others are called as well."""
    return "user"


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("secretive", SECRETIVE, ids=str)
def test_no_error_tells_a_secret(
    secretive: Rpc, plant: str, shop: Shop, channel_as: ChannelAs, http_gateway: str
):
    """Straight at the service and by the gateway, as somebody who may do everything."""
    policy = secretive.policy
    is_internal = policy.access == Access.ACCESS_INTERNAL
    token = [] if is_internal else [("authorization", f"Bearer {shop.token(*Role)}")]
    request, told = planted(secretive, PLANTS[plant]), []
    try:
        channel = channel_as(policy.callers[0] if is_internal else "developer", secretive.process)
        secretive.call(channel, request, metadata=token, timeout=_SECONDS)
    except grpc.RpcError as error:
        told.append(f"{error.details()} {error.trailing_metadata()}")
    if not is_internal:
        answer = outside.call(http_gateway, secretive, request, token, seconds=_SECONDS)
        if answer.code != grpc.StatusCode.OK:
            told.append(answer.body.decode())

    assert [] == leaks.found_in("\n".join(told))


def test_spans_are_among_what_is_searched(
    shop: Shop, channel_as: ChannelAs, eventually: Eventually
):
    """What a call exports comes to where it is searched, with its name."""
    (login,) = (rpc for rpc in SECRETIVE if rpc.method.full_name == _LOGIN)
    with pytest.raises(grpc.RpcError):
        login.call(channel_as("developer"), planted(login, str), timeout=_SECONDS)

    async def is_exported() -> bool:
        return _LOGIN.rpartition(".")[2].encode() in shop.spans.read_bytes()

    asyncio.run(eventually(is_exported))


def test_there_is_something_to_tell():
    """Passwords, tokens, e-mail addresses, payment tokens and postal addresses are planted."""
    fields = {
        field.full_name for rpc in SECRETIVE for _, field in redacted(fill(rpc.request_type()))
    }

    assert {
        "souk.user.v1.LoginRequest.email",
        "souk.user.v1.LoginRequest.password",
        "souk.user.v1.RefreshSessionRequest.refresh_token",
        "souk.order.v1.CreateOrderRequest.payment_token",
    } <= fields
