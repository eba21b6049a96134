"""Access tokens: JWTs (RFC 9068, RFC 8725) that every service verifies by itself."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from services.mesh import ids
from services.user.domain import Role
from services.user.signing_keys import SigningKeys


class AccessTokens:
    """Signs access tokens that live for `life`, with the key that is current."""

    def __init__(
        self, signing_keys: SigningKeys, *, issuer: str, audience: str, life: timedelta
    ) -> None:
        self._signing_keys = signing_keys
        self._issuer = issuer
        self._audience = audience
        self._life = life

    def issue(
        self,
        user_id: UUID,
        *,
        session_id: UUID,
        roles: Collection[Role],
        issue_time: datetime,
    ) -> tuple[str, datetime]:
        """Return a token that says who the user is and what they may do, and when it ends."""
        keys = self._signing_keys.keys
        expire_time = issue_time + self._life
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "roles": sorted(roles),
            "jti": str(ids.new_id()),
            "iat": int(issue_time.timestamp()),
            "nbf": int(issue_time.timestamp()),
            "exp": int(expire_time.timestamp()),
        }
        headers = {"typ": "at+jwt", "kid": keys.current_kid}
        token = jwt.encode(claims, keys.current, algorithm="EdDSA", headers=headers)
        return token, expire_time
