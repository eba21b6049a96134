"""Calls that are wrong before anybody looks at what they ask for.

Each is refused as its line says, and the connection goes on to serve the next one.
"""

from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from services.user.domain import Role
from tests.contract.bad_input.calls import (
    CALLS,
    GOOD,
    GOOD_WITH_TOKEN,
    IMPORT,
    MESSAGES,
    NOBODY,
    Call,
    Metadata,
)
from tests.contract.bad_input.tokens import INVALID_TOKENS, MakeToken, token
from tests.contract.conftest import ChannelAs
from tests.contract.details import reason_of
from tests.contract.shop import Shop


@pytest.fixture(scope="module")
def process() -> str:
    """Calls the product service, and others where a call says so."""
    return "product"


def bearer(access_token: str) -> Metadata:
    """Return the metadata with an access token."""
    return [("authorization", f"Bearer {access_token}")]


def check_ends(call: Call, channel_as: ChannelAs, metadata: Metadata | None = None) -> None:
    """Pass if the call ends as it says."""
    with pytest.raises(grpc.RpcError) as raised:
        call.send(channel_as("developer", call.to), metadata or [])

    assert (call.code, call.reason) == (raised.value.code(), reason_of(raised.value))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_bad_call_is_refused_and_the_next_one_served(call: Call, channel_as: ChannelAs):
    """The answer is the caller's fault, and nothing of it is left on the connection."""
    check_ends(call, channel_as)
    check_ends(GOOD, channel_as)


@pytest.mark.parametrize("call", MESSAGES.values(), ids=MESSAGES)
def test_a_bad_message_ends_a_stream(call: Call, shop: Shop, channel_as: ChannelAs):
    """Each message of a client's stream is held to the same."""
    check_ends(replace(call, path=IMPORT), channel_as, bearer(shop.token(Role.MERCHANDISER)))
    check_ends(GOOD, channel_as)


@pytest.mark.parametrize("make", INVALID_TOKENS.values(), ids=INVALID_TOKENS)
def test_a_token_that_is_not_ours_is_refused(make: MakeToken, shop: Shop, channel_as: ChannelAs):
    """One thing wrong with a token is enough."""
    call = replace(GOOD_WITH_TOKEN, code=NOBODY, reason="TOKEN_INVALID")
    check_ends(call, channel_as, bearer(make(shop)))


def test_a_token_of_the_past_is_refused_as_such(shop: Shop, channel_as: ChannelAs):
    """The client is told to renew it."""
    call = replace(GOOD_WITH_TOKEN, code=NOBODY, reason="TOKEN_EXPIRED")
    check_ends(call, channel_as, bearer(shop.token(age=timedelta(minutes=11))))


def test_two_tokens_are_one_too_many(shop: Shop, channel_as: ChannelAs):
    """Who calls must be beyond doubt, even if both tokens are right."""
    call = replace(GOOD_WITH_TOKEN, code=NOBODY, reason="AUTHORIZATION_MALFORMED")
    check_ends(call, channel_as, bearer(shop.token()) * 2)


def test_the_right_token_is_let_in(shop: Shop, channel_as: ChannelAs):
    """What the wrong tokens are made from is right."""
    check_ends(GOOD_WITH_TOKEN, channel_as, bearer(token()(shop)))
