"""Hashing passwords."""

import asyncio

from argon2 import PasswordHasher

from services.mesh.errors import ResourceExhausted
from services.user.passwords import passwords


async def test_a_password_matches_its_own_hash_only():
    """The right password matches, a wrong one and nobody's do not."""
    async with passwords() as hasher:
        stored = await hasher.hash("correct horse")

        assert await hasher.matches("correct horse", stored)
        assert not await hasher.matches("battery staple", stored)
        assert not await hasher.matches("nobody's password", None)


async def test_a_hash_is_argon2id_and_never_twice_the_same():
    """Every hash has a salt of its own."""
    async with passwords() as hasher:
        first, second = await hasher.hash("secret 1"), await hasher.hash("secret 1")

    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second


async def test_a_cheaper_hash_is_outdated():
    """A hash made at a lower cost is to be made anew."""
    cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("secret 1")
    async with passwords() as hasher:
        assert hasher.is_outdated(cheap)
        assert not hasher.is_outdated(await hasher.hash("secret 1"))


async def test_a_crowd_is_refused_rather_than_queued_without_end():
    """Beyond 32 waiting, a login is told to come back."""
    async with passwords() as hasher:
        results = await asyncio.gather(
            *(hasher.hash("secret 1") for _ in range(40)), return_exceptions=True
        )

    assert sum(isinstance(result, ResourceExhausted) for result in results) == 8
    assert sum(isinstance(result, str) for result in results) == 32
