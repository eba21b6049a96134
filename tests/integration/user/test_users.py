"""Accounts and addresses, over a real database."""

import asyncio

import pytest

from services.mesh import ids
from services.mesh.etag import EtagMismatch
from services.user.convert import user_etag
from services.user.domain import (
    AddressNotFound,
    EmailTaken,
    LastAdmin,
    PostalAddress,
    Role,
    RoleWithdrawn,
    TooManyAddresses,
    User,
    UserNotFound,
    UserState,
)

from .conftest import Parts

HOME = PostalAddress(region_code="GB", address_lines=("12 St James's Square",), locality="London")


async def new_user(parts: Parts, email: str = "ada@example.com", *roles: Role) -> User:
    """Adds a user."""
    return await parts.users.insert(
        ids.new_id(), email=email, display_name="Ada", password_hash="hash", roles=roles
    )


async def test_an_email_has_one_account(parts: Parts):
    """Of ten registrations at once with one address, whatever its case, one succeeds."""
    emails = ["ada@example.com", "Ada@Example.com"] * 5

    results = await asyncio.gather(
        *(new_user(parts, email) for email in emails), return_exceptions=True
    )

    assert sum(isinstance(result, User) for result in results) == 1
    assert sum(isinstance(result, EmailTaken) for result in results) == 9


async def test_an_unknown_user_is_not_found(parts: Parts):
    """There is nobody by an id that was never given."""
    with pytest.raises(UserNotFound):
        await parts.users.get(ids.new_id())


async def test_a_rename_needs_the_etag_that_was_read(parts: Parts):
    """The second of two changes that read the same version is refused."""
    user = await new_user(parts)

    renamed = await parts.users.rename(
        user.user_id, display_name="Countess", expected_etag=user_etag(user)
    )

    assert (renamed.display_name, renamed.version) == ("Countess", 2)
    with pytest.raises(EtagMismatch):
        await parts.users.rename(
            user.user_id, display_name="Augusta", expected_etag=user_etag(user)
        )


async def test_pages_hold_every_user_once_the_newest_first(parts: Parts):
    """Pages follow one another without gap or repetition, though users are added meanwhile."""
    users = [await new_user(parts, f"user{number}@example.com") for number in range(5)]

    first = await parts.users.page(email="", before=None, size=2)
    await new_user(parts, "late@example.com")
    second = await parts.users.page(email="", before=first[-1].user_id, size=10)

    assert [user.user_id for user in [*first, *second]] == [user.user_id for user in users[::-1]]


async def test_a_page_can_ask_for_one_email(parts: Parts):
    """The address alone decides, whatever its case."""
    user = await new_user(parts)
    await new_user(parts, "grace@example.com")

    assert await parts.users.page(email="ADA@example.com", before=None, size=10) == [user]


async def test_the_last_admin_stays(parts: Parts):
    """Neither the role nor the account of the only admin can be taken away."""
    admin = await new_user(parts, "admin@example.com", Role.ADMIN)

    with pytest.raises(LastAdmin):
        await parts.users.assign_roles(admin.user_id, frozenset())
    with pytest.raises(LastAdmin):
        await parts.users.deactivate(admin.user_id)


async def test_two_admins_cannot_remove_each_other(parts: Parts):
    """Of two removals at once, one is refused."""
    admins = [await new_user(parts, f"{name}@example.com", Role.ADMIN) for name in ("a", "b")]

    results = await asyncio.gather(
        *(parts.users.assign_roles(admin.user_id, frozenset()) for admin in admins),
        return_exceptions=True,
    )

    assert sum(isinstance(result, LastAdmin) for result in results) == 1
    assert await parts.users.has_admin()


@pytest.mark.parametrize("is_closed", [False, True], ids=["without the role", "closed"])
async def test_who_was_an_admin_cannot_become_one_again(parts: Parts, is_closed: bool):
    """By a token from before, a former admin changes neither roles nor accounts of others."""
    admin = await new_user(parts, "admin@example.com", Role.ADMIN)
    former = await new_user(parts, "former@example.com", Role.ADMIN)
    if is_closed:
        await parts.users.deactivate(former.user_id, by=admin.user_id)
    else:
        await parts.users.assign_roles(former.user_id, frozenset(), by=admin.user_id)

    for target in (former, admin):
        with pytest.raises(RoleWithdrawn):
            await parts.users.assign_roles(
                target.user_id, frozenset({Role.ADMIN, Role.SUPPORT}), by=former.user_id
            )
    with pytest.raises(RoleWithdrawn):
        await parts.users.deactivate(admin.user_id, by=former.user_id)

    assert (await parts.users.get(former.user_id)).roles == ((Role.ADMIN,) if is_closed else ())


async def test_anybody_closes_their_own_account(parts: Parts):
    """It takes no role to close what is one's own."""
    user = await new_user(parts)

    closed = await parts.users.deactivate(user.user_id, by=user.user_id)

    assert closed.state is UserState.DEACTIVATED


async def test_roles_are_replaced(parts: Parts):
    """A user has exactly the roles that were last given."""
    user = await new_user(parts, "ada@example.com", Role.SUPPORT)

    changed = await parts.users.assign_roles(
        user.user_id, frozenset({Role.FULFILMENT, Role.MERCHANDISER})
    )

    assert changed.roles == (Role.FULFILMENT, Role.MERCHANDISER)


async def test_closing_a_closed_account_changes_nothing(parts: Parts):
    """The second deactivation returns the account as the first left it."""
    user = await new_user(parts)

    first = await parts.users.deactivate(user.user_id)

    assert first.state is UserState.DEACTIVATED
    assert await parts.users.deactivate(user.user_id) == first


async def test_the_first_admin_is_created_once(parts: Parts):
    """With an admin there, no other is created."""
    created = [
        await parts.accounts.create_first_admin(email=email, password="open sesame")
        for email in ("admin@example.com", "another@example.com")
    ]

    assert created == [True, False]
    tokens = await parts.accounts.login(email="admin@example.com", password="open sesame")
    assert tokens.access_token


async def test_an_address_comes_back_as_it_was_given(parts: Parts):
    """Every part of an address is kept."""
    user = await new_user(parts)
    full = PostalAddress(
        region_code="DE",
        address_lines=("Hauptstr. 1", "2. Stock"),
        language_code="de",
        postal_code="10115",
        sorting_code="-",
        administrative_area="BE",
        locality="Berlin",
        sublocality="Mitte",
        recipients=("Ada",),
        organization="Souk",
    )

    address = await parts.addresses.insert(
        ids.new_id(), user_id=user.user_id, label="Home", postal_address=full
    )

    assert address.postal_address == full
    assert await parts.addresses.page(user.user_id, before=None, size=10) == [address]


async def test_only_the_owner_deletes_an_address(parts: Parts):
    """To anybody else the address does not exist."""
    owner, other = await new_user(parts), await new_user(parts, "eve@example.com")
    address = await parts.addresses.insert(
        ids.new_id(), user_id=owner.user_id, label="", postal_address=HOME
    )

    with pytest.raises(AddressNotFound):
        await parts.addresses.delete(address.address_id, user_id=other.user_id)
    await parts.addresses.delete(address.address_id, user_id=owner.user_id)

    assert await parts.addresses.page(owner.user_id, before=None, size=10) == []


async def test_a_user_has_at_most_twenty_addresses(parts: Parts):
    """Of thirty additions at once, twenty succeed."""
    user = await new_user(parts)

    results = await asyncio.gather(
        *(
            parts.addresses.insert(
                ids.new_id(), user_id=user.user_id, label="", postal_address=HOME
            )
            for _ in range(30)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(result, TooManyAddresses) for result in results) == 10
    assert len(await parts.addresses.page(user.user_id, before=None, size=100)) == 20
