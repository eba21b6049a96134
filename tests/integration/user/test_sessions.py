"""Signing in and staying signed in, over a real database."""

import asyncio
from uuid import UUID

import jwt
import pytest

from services.mesh import ids
from services.user.domain import (
    CredentialsInvalid,
    PasswordWrong,
    RefreshTokenInvalid,
    SessionTokens,
    User,
)

from .conftest import Parts

EMAIL = "ada@example.com"
PASSWORD = "difference engine"


async def register(parts: Parts) -> User:
    """Opens the account that the tests sign in to."""
    return await parts.accounts.register(email=EMAIL, password=PASSWORD, display_name="Ada")


async def login(parts: Parts) -> SessionTokens:
    """Signs in."""
    return await parts.accounts.login(email=EMAIL, password=PASSWORD)


def session_of(tokens: SessionTokens) -> UUID:
    """Reads the session from the access token."""
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    return UUID(claims["sid"])


async def test_a_login_gives_a_token_for_the_user(parts: Parts):
    """The access token is the user's own, and ends before the refresh token."""
    user = await register(parts)

    tokens = await login(parts)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})

    assert claims["sub"] == str(user.user_id)
    assert tokens.expire_time < tokens.refresh_expire_time


async def test_an_email_is_the_same_in_any_case(parts: Parts):
    """A login does not depend on how the address is spelt."""
    await register(parts)

    tokens = await parts.accounts.login(email=EMAIL.upper(), password=PASSWORD)

    assert tokens.access_token


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "analytical engine"), ("nobody@example.com", PASSWORD)],
)
async def test_a_wrong_login_does_not_tell_what_is_wrong(parts: Parts, email: str, password: str):
    """A wrong password and an unknown account give the same answer."""
    await register(parts)

    with pytest.raises(CredentialsInvalid, match=r"^e-mail address or password is wrong$"):
        await parts.accounts.login(email=email, password=password)


async def test_a_closed_account_cannot_be_signed_in_to(parts: Parts):
    """Deactivation ends logins and running sessions."""
    user = await register(parts)
    tokens = await login(parts)

    await parts.users.deactivate(user.user_id)

    with pytest.raises(CredentialsInvalid):
        await login(parts)
    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(tokens.refresh_token)


async def test_a_refresh_stays_in_the_session(parts: Parts):
    """The next tokens belong to the same session and the next refresh token differs."""
    await register(parts)
    first = await login(parts)

    second = await parts.accounts.refresh(first.refresh_token)

    assert session_of(second) == session_of(first)
    assert second.refresh_token != first.refresh_token


async def test_a_refresh_token_used_twice_ends_the_session(parts: Parts):
    """After a reuse even the newest token of the family is refused; other sessions go on."""
    await register(parts)
    first, other = await login(parts), await login(parts)
    second = await parts.accounts.refresh(first.refresh_token)

    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(first.refresh_token)

    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(second.refresh_token)
    assert (await parts.accounts.refresh(other.refresh_token)).access_token


async def test_of_many_refreshes_at_once_at_most_one_wins(parts: Parts):
    """A token that is used by ten at the same time gives tokens to one of them."""
    await register(parts)
    tokens = await login(parts)

    results = await asyncio.gather(
        *(parts.accounts.refresh(tokens.refresh_token) for _ in range(10)), return_exceptions=True
    )

    assert sum(isinstance(result, SessionTokens) for result in results) == 1
    assert sum(isinstance(result, RefreshTokenInvalid) for result in results) == 9


async def test_an_expired_refresh_token_is_refused_and_forgotten(parts: Parts):
    """The database's clock decides; what has expired is deleted with its session."""
    await register(parts)
    tokens = await login(parts)
    async with parts.db.connection() as conn:
        await conn.execute("UPDATE refresh_tokens SET expire_time = now() - interval '1 second'")
        await conn.execute("UPDATE sessions SET create_time = now() - interval '2 hours'")

    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(tokens.refresh_token)
    assert await parts.sessions.forget_expired() == 1


async def test_an_unknown_refresh_token_is_refused(parts: Parts):
    """A token that was never issued gives nothing."""
    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh("no such token")


async def test_a_logout_ends_the_session_of_its_user_alone(parts: Parts):
    """Somebody else's logout with the same session id changes nothing."""
    user = await register(parts)
    tokens = await login(parts)

    await parts.sessions.revoke(session_of(tokens), user_id=ids.new_id())
    tokens = await parts.accounts.refresh(tokens.refresh_token)
    await parts.sessions.revoke(session_of(tokens), user_id=user.user_id)

    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(tokens.refresh_token)


async def test_a_new_password_ends_all_other_sessions(parts: Parts):
    """The session that changed the password goes on; the old password is refused."""
    user = await register(parts)
    mine, other = await login(parts), await login(parts)

    await parts.accounts.change_password(
        user.user_id, session_id=session_of(mine), current=PASSWORD, new="analytical engine"
    )

    assert (await parts.accounts.refresh(mine.refresh_token)).access_token
    with pytest.raises(RefreshTokenInvalid):
        await parts.accounts.refresh(other.refresh_token)
    with pytest.raises(CredentialsInvalid):
        await login(parts)
    assert (await parts.accounts.login(email=EMAIL, password="analytical engine")).access_token


async def test_a_wrong_present_password_changes_nothing(parts: Parts):
    """The password stays and so do the sessions."""
    user = await register(parts)
    tokens = await login(parts)

    with pytest.raises(PasswordWrong):
        await parts.accounts.change_password(
            user.user_id, session_id=None, current="wrong", new="analytical engine"
        )

    assert (await login(parts)).access_token
    assert (await parts.accounts.refresh(tokens.refresh_token)).access_token


async def test_no_token_and_no_password_is_stored(parts: Parts):
    """The database holds neither the refresh token nor the password."""
    await register(parts)
    tokens = await login(parts)

    async with parts.db.connection() as conn:
        stored = str(await conn.fetch("SELECT u.*, t.* FROM users u, refresh_tokens t"))

    assert tokens.refresh_token not in stored
    assert PASSWORD not in stored
