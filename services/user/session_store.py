"""The queries over sessions and their refresh tokens.

A session is the family of refresh tokens that came from one login. Tokens are known by their
SHA-256 only. Each can be used once; using it again revokes the family (RFC 9700 section 4.14.2).
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.mesh import audit, ids, reaping
from services.mesh.database import Connection, Database
from services.user.domain import CredentialsInvalid, RefreshTokenInvalid

_FORGET_TOKENS = reaping.oldest(
    "refresh_tokens",
    key="token_hash",
    time="expire_time",
    until="now()",
    returning="session_id",
)

_FORGET_SESSIONS = """
    DELETE FROM sessions s
    WHERE session_id = ANY($1)
        AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = s.session_id)
    RETURNING true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """The next refresh token of a session, the only time it is seen.

    `issue_time` is the database's present time, which the access token beside it begins with.
    """

    session_id: UUID
    user_id: UUID
    token: str = field(repr=False)
    issue_time: datetime
    expire_time: datetime


class SessionStore:
    """Sessions, each refresh token living `life`."""

    def __init__(self, db: Database, *, life: timedelta) -> None:
        self._db = db
        self._life = life

    async def begin(self, user_id: UUID, *, password_hash: str) -> RefreshToken:
        """Begin a session of an active user whose password is still the one that was checked.

        Raises CredentialsInvalid if the account was closed or its password changed meanwhile.
        """
        session_id = ids.new_id()
        async with self._db.transaction() as conn:
            active = await conn.fetchval(
                """
                SELECT true FROM users
                WHERE user_id = $1 AND state = 'active' AND password_hash = $2 FOR SHARE
                """,
                user_id,
                password_hash,
            )
            if not active:
                raise CredentialsInvalid("e-mail address or password is wrong")
            await conn.execute(
                "INSERT INTO sessions (session_id, user_id) VALUES ($1, $2)", session_id, user_id
            )
            await audit.record(conn, resource=f"users/{user_id}", actor=user_id)
            return await self._issue(conn, session_id=session_id, user_id=user_id)

    async def rotate(self, token: str) -> RefreshToken:
        """Use a refresh token for the next one of its session.

        Raises RefreshTokenInvalid. A token that was used before ends the session for good.
        """
        async with self._db.transaction() as conn:
            # Locking the token lets one of two users at once win; the other one is a reuse.
            row = await conn.fetchrow(
                """
                SELECT t.session_id, s.user_id, t.use_time IS NOT NULL AS used,
                    t.expire_time > now() AND s.revoke_time IS NULL AND u.state = 'active' AS valid
                FROM refresh_tokens t
                    JOIN sessions s USING (session_id)
                    JOIN users u USING (user_id)
                WHERE t.token_hash = $1
                FOR UPDATE OF t, s
                """,
                _hash(token),
            )
            if row is not None and row["valid"] and not row["used"]:
                await conn.execute(
                    "UPDATE refresh_tokens SET use_time = now() WHERE token_hash = $1", _hash(token)
                )
                return await self._issue(conn, session_id=row["session_id"], user_id=row["user_id"])
            if row is not None and row["used"]:
                await conn.execute(
                    """
                    UPDATE sessions SET revoke_time = now(), revoke_reason = 'reuse'
                    WHERE session_id = $1 AND revoke_time IS NULL
                    """,
                    row["session_id"],
                )
                await audit.record(
                    conn, resource=f"users/{row['user_id']}", reason="REFRESH_TOKEN_REUSED"
                )
        raise RefreshTokenInvalid("the session has ended; sign in again")

    async def revoke(self, session_id: UUID, *, user_id: UUID) -> None:
        """End one of the user's sessions; one that has ended stays as it is."""
        async with self._db.transaction() as conn:
            await conn.execute(
                """
                UPDATE sessions SET revoke_time = now(), revoke_reason = 'logout'
                WHERE session_id = $1 AND user_id = $2 AND revoke_time IS NULL
                """,
                session_id,
                user_id,
            )
            await audit.record(conn, resource=f"users/{user_id}")

    async def change_password(
        self, user_id: UUID, *, former: str, password_hash: str, keep: UUID | None
    ) -> bool:
        """Replace the user's password hash and end all their sessions but `keep`.

        Say whether it was done: not if the password is no longer the one hashed as `former`.
        """
        async with self._db.transaction() as conn:
            changed = await conn.fetchval(
                """
                UPDATE users SET password_hash = $3, update_time = now(), version = version + 1
                WHERE user_id = $1 AND password_hash = $2
                RETURNING true
                """,
                user_id,
                former,
                password_hash,
            )
            if not changed:
                return False
            await conn.execute(
                """
                UPDATE sessions SET revoke_time = now(), revoke_reason = 'password'
                WHERE user_id = $1 AND session_id IS DISTINCT FROM $2 AND revoke_time IS NULL
                """,
                user_id,
                keep,
            )
            await audit.record(conn, resource=f"users/{user_id}")
        return True

    async def forget_expired(self) -> int:
        """Delete the tokens that have expired and the sessions they leave without any.

        Returns how many sessions. It goes part by part, each within the time of a statement.
        """
        forgotten = 0
        while True:
            async with self._db.transaction() as conn:
                expired = await conn.fetch(_FORGET_TOKENS)
                left = list({row["session_id"] for row in expired})
                forgotten += len(await conn.fetch(_FORGET_SESSIONS, left))
            if len(expired) < reaping.AT_MOST:
                return forgotten

    async def _issue(self, conn: Connection, *, session_id: UUID, user_id: UUID) -> RefreshToken:
        token = secrets.token_urlsafe(32)
        row = await conn.fetchrow(
            """
            INSERT INTO refresh_tokens (token_hash, session_id, expire_time)
            VALUES ($1, $2, now() + $3::interval)
            RETURNING create_time, expire_time
            """,
            _hash(token),
            session_id,
            self._life,
        )
        if row is None:
            raise AssertionError("INSERT ... RETURNING gave no row")
        return RefreshToken(
            session_id=session_id,
            user_id=user_id,
            token=token,
            issue_time=row["create_time"],
            expire_time=row["expire_time"],
        )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
