"""Passwords, kept as argon2id hashes (RFC 9106) made off the event loop.

The cost is the one OWASP's password storage cheat sheet asks for: 19 MiB, two passes, one lane.
A hash made at another cost is made anew at the next login.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.mesh.errors import ResourceExhausted

_THREADS = 2
_MOST_WAITING = 32
_RETRY_AFTER = timedelta(seconds=1)

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords, a bounded number at a time."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._executor = executor
        self._running = 0
        # What a login without an account is checked against, so that it takes the same time.
        self._nobodys_hash = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Return the hash of `password`. Raises ResourceExhausted when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Say whether `password` is the one hashed; None is nobody's and takes the same time.

        Raises ResourceExhausted when too many wait.
        """
        return await self._run(lambda: self._verify(password, password_hash))

    def is_outdated(self, password_hash: str) -> bool:
        """Say whether the hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobodys_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._running >= _MOST_WAITING:
            message = "too many people are signing in; try again shortly"
            raise ResourceExhausted(message, retry_after=_RETRY_AFTER)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._running -= 1


@asynccontextmanager
async def passwords() -> AsyncIterator[Passwords]:
    """Open the threads that passwords are hashed on, and close them at the end."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2") as executor:
        yield await asyncio.get_running_loop().run_in_executor(executor, Passwords, executor)
