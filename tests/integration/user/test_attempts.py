"""Guessing is bounded, and nothing that a guesser sees or measures tells which accounts exist."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from services.mesh import identity, served_call
from services.mesh.errors import DomainError
from services.mesh.identity import Caller
from services.mesh.served_call import ServedCall
from services.user.domain import CredentialsInvalid, PasswordWrong, TooManyAttempts
from services.user.workflow import Accounts

from .conftest import LIMITS, Parts

PASSWORD = "difference engine"
WRONG = "analytical engine"


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    """Calls from one address, through the gateway."""
    come_from("203.0.113.7")
    yield
    served_call.begin(ServedCall())
    identity.serve_as(identity.NOBODY)


def come_from(address: str) -> None:
    """Call from another address from now on."""
    served_call.begin(ServedCall("r", {"x-souk-client-address": address}, rpc="/u.v1.U/Login"))
    identity.serve_as(Caller(service="gateway"))


async def told(accounts: Accounts, email: str, password: str = WRONG) -> tuple[str, str]:
    """Return what somebody who tries to sign in is told."""
    with pytest.raises(DomainError) as raised:
        await accounts.login(email=email, password=password)
    return raised.value.reason, raised.value.message


async def register(parts: Parts, email: str) -> None:
    """Open an account."""
    await parts.accounts.register(email=email, password=PASSWORD, display_name="Ada")


async def test_an_account_and_none_are_refused_alike(parts: Parts):
    """Every try is answered with the same words, up to the last one and after it."""
    await register(parts, "ada@example.com")

    real = [await told(parts.accounts, "ada@example.com") for _ in range(LIMITS.per_account + 2)]
    none = [await told(parts.accounts, "eve@example.com") for _ in range(LIMITS.per_account + 2)]

    assert real == none
    assert [CredentialsInvalid.reason] * LIMITS.per_account + [TooManyAttempts.reason] * 2 == [
        reason for reason, _ in real
    ]


async def test_an_account_and_none_cost_the_same_work(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
):
    """A hash is checked for each try, and the refusal written down, whether there is an account."""
    await register(parts, "ada@example.com")
    seen: list[str] = []
    matches, refused = parts.passwords.matches, parts.audit_log.refused

    async def count_matches(*arguments):
        seen.append("argon2")
        return await matches(*arguments)

    async def count_refused(*arguments, **named):
        seen.append("audit")
        return await refused(*arguments, **named)

    monkeypatch.setattr(parts.passwords, "matches", count_matches)
    monkeypatch.setattr(parts.audit_log, "refused", count_refused)
    for email in ("ada@example.com", "eve@example.com"):
        await told(parts.accounts, email)

    assert ["argon2", "audit"] * 2 == seen


async def test_the_right_password_does_not_help_while_guesses_are_refused(parts: Parts):
    """Else a guesser would learn from the answer that the last guess was right."""
    await register(parts, "ada@example.com")
    for _ in range(LIMITS.per_account):
        await told(parts.accounts, "ada@example.com")

    reason, _ = await told(parts.accounts, "ada@example.com", PASSWORD)

    assert reason == TooManyAttempts.reason


async def test_a_window_of_guesses_is_audited_once(parts: Parts):
    """Guessing is written down when it is first refused, not with every further guess."""
    for _ in range(LIMITS.per_account + 3):
        await told(parts.accounts, "eve@example.com")
    async with parts.db.connection() as conn:
        reasons = await conn.fetch("SELECT reason FROM audit_events ORDER BY audit_event_id")
    assert [CredentialsInvalid.reason] * LIMITS.per_account + [TooManyAttempts.reason] == [
        row["reason"] for row in reasons
    ]


async def test_signing_in_forgets_the_failures(parts: Parts):
    """Who mistypes now and then is never kept out."""
    await register(parts, "ada@example.com")
    for _ in range(3):
        for _ in range(LIMITS.per_account - 1):
            await told(parts.accounts, "ada@example.com")
        await parts.accounts.login(email="ada@example.com", password=PASSWORD)


async def test_the_name_counts_in_any_case(parts: Parts):
    """Spelling the address otherwise gives no further tries."""
    for number in range(LIMITS.per_account):
        await told(parts.accounts, "Eve@example.com" if number % 2 else "eve@EXAMPLE.com")

    assert (await told(parts.accounts, "eve@example.com"))[0] == TooManyAttempts.reason


async def test_whatever_finds_an_account_counts_against_it(parts: Parts):
    """A letter that PostgreSQL alone takes for an i gives no further tries, either."""
    await register(parts, "iris@example.com")
    for spelling in ("İris@example.com", "irİs@example.com", "İrİs@example.com"):
        await told(parts.accounts, spelling)

    assert (await told(parts.accounts, "iris@example.com"))[0] == TooManyAttempts.reason


async def test_who_knows_an_id_keeps_nobody_from_changing_the_password(parts: Parts):
    """Tries to sign in by a user's id, which is no name, are not counted against the user."""
    user = await parts.accounts.register(
        email="ada@example.com", password=PASSWORD, display_name="Ada"
    )
    for _ in range(LIMITS.per_account + 1):
        await told(parts.accounts, str(user.user_id))

    await parts.accounts.change_password(
        user.user_id, session_id=None, current=PASSWORD, new="another engine"
    )
    tokens = await parts.accounts.login(email="ada@example.com", password="another engine")

    assert tokens.access_token


async def test_an_address_is_bounded_over_all_accounts(parts: Parts):
    """One guess at each of many accounts is guessing too; another address goes on."""
    for number in range(LIMITS.per_address):
        await told(parts.accounts, f"user{number}@example.com")

    assert (await told(parts.accounts, "new@example.com"))[0] == TooManyAttempts.reason
    come_from("203.0.113.8")
    assert (await told(parts.accounts, "new@example.com"))[0] == CredentialsInvalid.reason


async def test_an_address_that_may_try_no_more_keeps_nobody_out(parts: Parts):
    """What is refused for its address is not counted against the account that it names."""
    await register(parts, "ada@example.com")
    for number in range(LIMITS.per_address):
        await told(parts.accounts, f"user{number}@example.com")
    for _ in range(LIMITS.per_account):
        await told(parts.accounts, "ada@example.com")

    come_from("203.0.113.8")
    await parts.accounts.login(email="ada@example.com", password=PASSWORD)


async def test_the_window_ends_by_the_databases_clock(parts: Parts):
    """What is told to wait for is the time after which tries count anew."""
    for _ in range(LIMITS.per_account):
        await told(parts.accounts, "eve@example.com")
    with pytest.raises(TooManyAttempts) as raised:
        await parts.accounts.login(email="eve@example.com", password=PASSWORD)
    async with parts.db.connection() as conn:
        await conn.execute(
            "UPDATE login_attempts SET end_time = end_time - $1::interval", LIMITS.window
        )

    assert timedelta() < (raised.value.retry_after or timedelta()) <= LIMITS.window
    assert (await told(parts.accounts, "eve@example.com"))[0] == CredentialsInvalid.reason


async def test_old_windows_are_forgotten(parts: Parts):
    """Only what still counts is kept."""
    await told(parts.accounts, "eve@example.com")
    async with parts.db.connection() as conn:
        await conn.execute("UPDATE login_attempts SET end_time = now()")
    await parts.attempts.forget_ended()
    async with parts.db.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_no_name_is_stored_as_it_was_typed(parts: Parts):
    """What was typed may be a password in the wrong field."""
    await told(parts.accounts, "eve@example.com")
    async with parts.db.connection() as conn:
        stored = await conn.fetchval("SELECT string_agg(a::text, ' ') FROM login_attempts a")

    assert "eve" not in stored


async def test_a_stolen_token_does_not_help_to_guess_the_password(parts: Parts):
    """Whoever is signed in has no more tries at the present password."""
    user = await parts.accounts.register(
        email="ada@example.com", password=PASSWORD, display_name="Ada"
    )

    async def guess() -> None:
        await parts.accounts.change_password(
            user.user_id, session_id=None, current="a wrong one", new="mine now"
        )

    for _ in range(LIMITS.per_account):
        with pytest.raises(PasswordWrong):
            await guess()
    with pytest.raises(TooManyAttempts):
        await guess()
