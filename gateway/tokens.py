"""Knows people by their access tokens; imported only where policies are enforced.

The keys are those that the mesh's issuer publishes (`SOUK_JWKS_METHOD`).
"""

from collections.abc import Callable
from typing import Final

from gateway.settings import GatewaySettings
from gateway.transcoding.errors import Headers, StatusError
from gateway.transcoding.transport import Call, Transport
from services.mesh import jwks
from services.mesh.access_token import Person, Verifier
from services.mesh.interceptors.identity import AuthorizationMalformed

_KEYS_SECONDS: Final = 2.0


class Unverified:
    """Stands for a token that has to be verified before anybody knows whose it is."""


_UNVERIFIED: Final = Unverified()


class People:
    """Knows people by their access tokens."""

    def __init__(self, environment: GatewaySettings, issuer: Callable[[], Transport]) -> None:
        """`issuer` gives what reaches the issuer of the keys, or raises KeyError."""
        self._verifier = _verifier(environment, issuer)

    def known(self, headers: Headers) -> Person | Unverified | None:
        """Gives whose token was verified before, None for no token. Raises DomainError."""
        token = _token(headers)
        if token is None:
            return None
        return self._verifier.remembered(token) or _UNVERIFIED

    async def verified(self, headers: Headers) -> Person | None:
        """Gives whose token it is, None for no token. Raises DomainError."""
        token = _token(headers)
        return None if token is None else await self._verifier.verify(token)


def _verifier(environment: GatewaySettings, issuer: Callable[[], Transport]) -> Verifier:
    method = environment.jwks_method

    async def ask() -> bytes:
        try:
            reply = await issuer().unary(Call(path=method, timeout_seconds=_KEYS_SECONDS), b"")
        except StatusError as error:
            raise jwks.NotAnswered(str(error)) from error
        except KeyError:
            raise jwks.NotAnswered(f"{method}: no --upstream serves it") from None
        return reply.message

    keys = jwks.KeySet(jwks.remote_keys(ask))
    verifier = Verifier(
        keys.key, issuer=environment.token_issuer, audience=environment.token_audience
    )
    keys.on_withdrawal(verifier.forget)
    return verifier


def _token(headers: Headers) -> str | None:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise AuthorizationMalformed("give one bearer token")
    return token
