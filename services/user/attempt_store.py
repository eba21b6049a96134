"""Bounds how often a password may be guessed, per account and per address of the client.

A try is counted before the password is looked at, so that many at once count as many; one that
succeeds clears the account and takes itself back from the address. An account is known by a hash of
the name that was typed, whether there is such an account or not: what is refused here tells nothing
of that. The database folds the name as it does to find the account: else there would be names that
are one account to the one and many to the other, as Python's `lower` makes of İ what PostgreSQL
does not. Its clock says when a window ends.

Whoever fails often enough keeps the owner out as well, for one window at most; who is signed in
already stays so.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.mesh import reaping
from services.mesh.database import Database
from services.user.domain import TooManyAttempts

_HASH = "sha256(convert_to(lower($1::text), 'UTF8'))"

_TAKE = f"""
    INSERT INTO login_attempts AS a (counted_hash, attempt_count, end_time)
    VALUES ({_HASH}, 1, now() + $2::interval)
    ON CONFLICT (counted_hash) DO UPDATE SET
        attempt_count = CASE WHEN a.end_time <= now() THEN 1 ELSE a.attempt_count + 1 END,
        end_time = CASE WHEN a.end_time <= now() THEN now() + $2::interval ELSE a.end_time END
    RETURNING attempt_count, end_time - now() AS remaining
"""  # noqa: S608  # only our own expression

_FORGET = f"DELETE FROM login_attempts WHERE counted_hash = {_HASH}"  # noqa: S608  # likewise

_TAKE_BACK = f"""
    UPDATE login_attempts SET attempt_count = attempt_count - 1
    WHERE counted_hash = {_HASH} AND attempt_count > 0
"""  # noqa: S608  # likewise

# The outer condition sees to a window that has begun anew meanwhile.
_FORGET_ENDED = f"""
    DELETE FROM login_attempts
    WHERE end_time <= now() AND counted_hash = ANY(ARRAY(
        SELECT counted_hash FROM login_attempts WHERE end_time <= now()
        ORDER BY end_time LIMIT {reaping.AT_MOST}
    ))
    RETURNING true
"""  # noqa: S608 - our own number


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many tries one account and one address have in each window."""

    per_account: int
    per_address: int
    window: timedelta


class AttemptStore:
    """The tries of each account and each address."""

    def __init__(self, db: Database, limits: Limits) -> None:
        self._db = db
        self._limits = limits

    async def take(self, account: str, *, address: str) -> None:
        """Count a try at `account`, from `address` if it is known. Raises TooManyAttempts.

        `account` is `named` or `signed_in`. The address comes first: one that may try no more
        keeps nobody else out.
        """
        counted = [(account, self._limits.per_account)]
        if address:
            counted.insert(0, (_address(address), self._limits.per_address))
        async with self._db.connection() as conn:
            for name, limit in counted:
                row = await conn.fetchrow(_TAKE, name, self._limits.window)
                if row is not None and row["attempt_count"] > limit:
                    raise TooManyAttempts(
                        "too many attempts to sign in; try again later",
                        retry_after=row["remaining"],
                        is_first=row["attempt_count"] == limit + 1,
                    )

    async def succeeded(self, account: str, *, address: str) -> None:
        """Forget what was counted against `account`, and this try of `address`."""
        async with self._db.connection() as conn:
            await conn.execute(_FORGET, account)
            if address:
                await conn.execute(_TAKE_BACK, _address(address))

    async def forget_ended(self) -> None:
        """Delete the windows that are over, part by part, each within the time of a statement."""
        ended = reaping.AT_MOST
        while ended == reaping.AT_MOST:
            async with self._db.connection() as conn:
                ended = len(await conn.fetch(_FORGET_ENDED))


def named(email: str) -> str:
    """Return what is counted for an account that somebody names, whether there is one or not."""
    return f"account:{email}"


def signed_in(user_id: UUID) -> str:
    """Return what is counted for the account of somebody who is signed in.

    Nobody who only names an account comes to it, whatever the name: else who knows a user's id
    could keep them from changing their password.
    """
    return f"user:{user_id}"


def _address(address: str) -> str:
    return f"address:{address}"
