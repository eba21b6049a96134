"""What stands in an access token."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import jwt

from services.user import signing_keys
from services.user.access_tokens import AccessTokens
from services.user.domain import Role
from services.user.signing_keys import SigningKeys

USER_ID = UUID("0199a3c4-0000-7000-8000-000000000001")
SESSION_ID = UUID("0199a3c4-0000-7000-8000-000000000002")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_token_says_who_for_whom_and_until_when(tmp_path: Path):
    """The header and the claims are those of RFC 9068, with roles and session beside."""
    signing_keys.create(tmp_path, "only")
    tokens = AccessTokens(
        SigningKeys(tmp_path), issuer="https://shop", audience="shop", life=timedelta(minutes=10)
    )

    token, expire_time = tokens.issue(
        USER_ID, session_id=SESSION_ID, roles=[Role.SUPPORT, Role.ADMIN], issue_time=NOW
    )
    claims = jwt.decode(token, options={"verify_signature": False})

    assert expire_time == NOW + timedelta(minutes=10)
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "at+jwt", "kid": "only"}
    assert UUID(claims.pop("jti")).version == 7
    assert claims == {
        "iss": "https://shop",
        "aud": "shop",
        "sub": str(USER_ID),
        "sid": str(SESSION_ID),
        "roles": ["admin", "support"],
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 600,
    }
