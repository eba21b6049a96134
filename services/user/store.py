"""The queries over users."""

from collections.abc import Iterable
from uuid import UUID

import asyncpg

from services.mesh import audit, etag
from services.mesh.database import Connection, Database
from services.user.domain import (
    Credentials,
    EmailTaken,
    LastAdmin,
    Role,
    RoleWithdrawn,
    User,
    UserNotFound,
    UserState,
)

_USER = "user_id, email, display_name, roles, state, create_time, update_time, version"

# Held by whoever takes the role of admin away, so that two can't take it from each other.
_ADMIN_LOCK = 0x50756B01


class UserStore:
    """Users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def insert(
        self,
        user_id: UUID,
        *,
        email: str,
        display_name: str,
        password_hash: str,
        roles: Iterable[Role] = (),
    ) -> User:
        """Add an account. Raises EmailTaken."""
        try:
            async with self._db.transaction() as conn:
                row = await conn.fetchrow(
                    f"""
                    INSERT INTO users (user_id, email, display_name, password_hash, roles)
                    VALUES ($1, $2, $3, $4, $5)
                    RETURNING {_USER}
                    """,  # noqa: S608  # only our own column names
                    user_id,
                    email,
                    display_name,
                    password_hash,
                    sorted(roles),
                )
                await audit.record(conn, resource=f"users/{user_id}")
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "users_email_key":
                raise
            raise EmailTaken("an account with this e-mail address exists") from error
        return _user(row)

    async def get(self, user_id: UUID) -> User:
        """Return a user. Raises UserNotFound."""
        async with self._db.connection() as conn:
            row = await conn.fetchrow(
                f"SELECT {_USER} FROM users WHERE user_id = $1",  # noqa: S608  # our own names
                user_id,
            )
        return _user(row)

    async def credentials_of_email(self, email: str) -> Credentials | None:
        """Return what a login with `email` is checked against, None without an account."""
        async with self._db.connection() as conn:
            row = await conn.fetchrow(
                f"""
                SELECT {_USER}, password_hash FROM users WHERE lower(email) = lower($1)
                """,  # noqa: S608  # only our own column names
                email,
            )
        return _credentials(row) if row else None

    async def credentials_of_user(self, user_id: UUID) -> Credentials:
        """Return what the user's password is checked against. Raises UserNotFound."""
        async with self._db.connection() as conn:
            row = await conn.fetchrow(
                f"SELECT {_USER}, password_hash FROM users WHERE user_id = $1",  # noqa: S608  # ours
                user_id,
            )
        if row is None:
            raise _not_found()
        return _credentials(row)

    async def replace_hash(self, user_id: UUID, *, former: str, password_hash: str) -> None:
        """Store a hash of the same password, unless the password has changed meanwhile."""
        async with self._db.connection() as conn:
            await conn.execute(
                """
                UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2
                """,
                user_id,
                former,
                password_hash,
            )

    async def page(self, *, email: str, before: UUID | None, size: int) -> list[User]:
        """Return up to `size` users, the newest first, those before `before` in that order.

        An `email` that is not empty asks for the account with this address only.
        """
        async with self._db.connection() as conn:
            rows = await conn.fetch(
                f"""
                SELECT {_USER} FROM users
                WHERE ($1 = '' OR lower(email) = lower($1)) AND ($2::uuid IS NULL OR user_id < $2)
                ORDER BY user_id DESC LIMIT $3
                """,  # noqa: S608  # only our own column names
                email,
                before,
                size,
            )
        return [_user(row) for row in rows]

    async def rename(self, user_id: UUID, *, display_name: str | None, expected_etag: str) -> User:
        """Change the name; None changes nothing. Raises UserNotFound, EtagMismatch."""
        async with self._db.transaction() as conn:
            user = await _locked(conn, user_id)
            etag.check(expected_etag, current=etag.of(user.user_id, user.version))
            if display_name is None or display_name == user.display_name:
                return user
            return await _changed(conn, user_id, "display_name = $2", display_name)

    async def assign_roles(
        self, user_id: UUID, roles: frozenset[Role], *, by: UUID | None = None
    ) -> User:
        """Give the user exactly `roles`, as `by` wants it.

        Raises UserNotFound, LastAdmin, RoleWithdrawn.
        """
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", _ADMIN_LOCK)
            user = await _locked(conn, user_id)
            if frozenset(user.roles) == roles:
                return user
            await _require_admin(conn, by)
            if Role.ADMIN in user.roles and Role.ADMIN not in roles:
                await _require_another_admin(conn, user_id)
            await audit.record(conn, resource=f"users/{user_id}")
            return await _changed(conn, user_id, "roles = $2", sorted(roles))

    async def deactivate(self, user_id: UUID, *, by: UUID | None = None) -> User:
        """Close the account and end its sessions, as `by` wants it.

        Raises UserNotFound, LastAdmin, RoleWithdrawn.
        """
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", _ADMIN_LOCK)
            user = await _locked(conn, user_id)
            if user.state is UserState.DEACTIVATED:
                return user
            if by != user_id:
                await _require_admin(conn, by)
            if Role.ADMIN in user.roles:
                await _require_another_admin(conn, user_id)
            await conn.execute(
                """
                UPDATE sessions SET revoke_time = now(), revoke_reason = 'deactivated'
                WHERE user_id = $1 AND revoke_time IS NULL
                """,
                user_id,
            )
            await audit.record(conn, resource=f"users/{user_id}")
            return await _changed(conn, user_id, "state = $2", UserState.DEACTIVATED)

    async def has_admin(self) -> bool:
        """Say whether anybody can use an account with the role of admin."""
        async with self._db.connection() as conn:
            found = await conn.fetchval(
                "SELECT EXISTS (SELECT FROM users WHERE 'admin' = ANY (roles) AND state = 'active')"
            )
        return bool(found)


async def _locked(conn: Connection, user_id: UUID) -> User:
    row = await conn.fetchrow(
        f"SELECT {_USER} FROM users WHERE user_id = $1 FOR UPDATE",  # noqa: S608  # our own names
        user_id,
    )
    return _user(row)


async def _changed(conn: Connection, user_id: UUID, assignment: str, value: object) -> User:
    """Return the user after `assignment`, which is ours and gives `$2` to one column."""
    row = await conn.fetchrow(
        f"""
        UPDATE users SET {assignment}, update_time = now(), version = version + 1
        WHERE user_id = $1
        RETURNING {_USER}
        """,  # noqa: S608  # only our own column names
        user_id,
        value,
    )
    return _user(row)


async def _require_admin(conn: Connection, user_id: UUID | None) -> None:
    """Return unless this user's account says that they are no admin now.

    An access token says what was so up to ten minutes ago. Who was an admin then could use that to
    become one again, or to shut out the others.
    """
    is_admin = await conn.fetchval(
        "SELECT 'admin' = ANY (roles) AND state = 'active' FROM users WHERE user_id = $1", user_id
    )
    if is_admin is False:
        raise RoleWithdrawn("you are no admin any more")


async def _require_another_admin(conn: Connection, user_id: UUID) -> None:
    another = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM users
            WHERE 'admin' = ANY (roles) AND state = 'active' AND user_id <> $1
        )
        """,
        user_id,
    )
    if not another:
        raise LastAdmin("somebody else must be an admin first")


def _user(row: "asyncpg.Record | None") -> User:
    if row is None:
        raise _not_found()
    return User(
        user_id=UUID(int=row["user_id"].int),
        email=row["email"],
        display_name=row["display_name"],
        roles=tuple(Role(role) for role in row["roles"]),
        state=UserState(row["state"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
    )


def _credentials(row: "asyncpg.Record") -> Credentials:
    return Credentials(user=_user(row), password_hash=row["password_hash"])


def _not_found() -> UserNotFound:
    return UserNotFound("there is no such user")
