"""Verifies access tokens: JSON Web Tokens as RFC 9068 profiles them, judged as RFC 8725 asks.

    header   alg "EdDSA", typ "at+jwt", kid
    payload  iss, aud, exp, nbf, sub, and optionally roles [..], sid

The key is found by `kid` among our own; what a token says of others (jku, jwk, x5u) is not read.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.mesh.errors import Unauthenticated

ALGORITHM = "EdDSA"
TYPE = "at+jwt"

_LEEWAY_SECONDS = 5
_REQUIRED = ["iss", "aud", "exp", "nbf", "sub"]
_REMEMBERED = 4096

Key = Callable[[str], Awaitable[Ed25519PublicKey | None]]


class TokenInvalid(Unauthenticated):
    """The access token is not ours, was changed, or is not valid now."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The access token was ours and has expired; a new one is needed."""

    reason = "TOKEN_EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """Who an access token speaks of, one object per token. `expires_at` is in Unix seconds."""

    subject: str
    roles: frozenset[str]
    session: str | None
    expires_at: float


class Verifier:
    """Verifies tokens of one issuer for one audience; remembers the verified ones.

    An Ed25519 check costs more than the rest of a call's checks together, and a token comes with
    many calls. At most 4096 are remembered, each no longer than it is valid.
    """

    def __init__(self, key: Key, *, issuer: str, audience: str) -> None:
        self._key = key
        self._issuer = issuer
        self._audience = audience
        self._verified: OrderedDict[str, Person] = OrderedDict()

    async def verify(self, token: str) -> Person:
        """Return who the token speaks of.

        Raises TokenInvalid, TokenExpired, or what `key` raises.
        """
        person = self.remembered(token)
        if person is not None:
            return person
        person = self._decode(token, await self._key_of(token))
        self._remember(token, person)
        return person

    def remembered(self, token: str) -> Person | None:
        """Return who the token speaks of if it was verified before and is still valid."""
        person = self._verified.get(token)
        if person is None or time.time() >= person.expires_at:
            return None
        self._verified.move_to_end(token)
        return person

    def forget(self) -> None:
        """Verify every token anew, since a key was withdrawn."""
        self._verified.clear()

    async def _key_of(self, token: str) -> Ed25519PublicKey:
        header = _header(token)
        # PyJWT leaves this to the application (RFC 8725, 3.11), other than `alg` and `crit`.
        if str(header.get("typ")).lower().removeprefix("application/") != TYPE:
            raise TokenInvalid("the access token is of another kind")
        key_id = header.get("kid")
        key = await self._key(key_id) if isinstance(key_id, str) and key_id else None
        if key is None:
            raise TokenInvalid("the access token is signed by an unknown key")
        return key

    def _decode(self, token: str, key: Ed25519PublicKey) -> Person:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the access token has expired") from None
        except jwt.InvalidTokenError:
            raise TokenInvalid("the access token is not valid") from None
        return _person(claims)

    def _remember(self, token: str, person: Person) -> None:
        self._verified[token] = person
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise TokenInvalid("this is no access token") from None


def _person(claims: dict[str, Any]) -> Person:
    subject, roles, session = claims["sub"], claims.get("roles", []), claims.get("sid")
    if not (
        isinstance(subject, str)
        and subject
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
        and isinstance(session, str | None)
    ):
        raise TokenInvalid("the access token's claims are of the wrong type")
    return Person(
        subject=subject,
        roles=frozenset(roles),
        session=session,
        expires_at=float(claims["exp"]) + _LEEWAY_SECONDS,
    )
