"""Admits people by their access tokens; imported only where policies are enforced.

The keys are those that the mesh's issuer publishes (`SOUK_JWKS_METHOD`).
"""

from collections.abc import Callable
from typing import Final

from gateway.access import Admitting
from gateway.settings import NAME, GatewaySettings
from gateway.transcoding.errors import Headers, StatusError
from gateway.transcoding.transport import Call, Transport
from services.mesh import jwks, policy
from services.mesh.access_token import Person, Verifier
from services.mesh.errors import DomainError
from services.mesh.identity import Caller
from services.mesh.interceptors.identity import AuthorizationMalformed
from services.mesh.interceptors.policy import admission
from services.mesh.status import status_from_error

_DOMAIN: Final = "gateway.souk"
_KEYS_SECONDS: Final = 2.0


def admitting(environment: GatewaySettings, issuer: Callable[[], Transport]) -> Admitting:
    """Makes what admits by tokens; `issuer` gives what reaches the issuer, or raises KeyError."""
    verifier = _verifier(environment, issuer)

    return lambda method: TokenAdmission(method, verifier)


class TokenAdmission:
    """Decides by the access token who may call one method."""

    def __init__(self, method: policy.Method, verifier: Verifier) -> None:
        self._check = admission(method, frozenset({NAME}))
        self._verifier = verifier

    def admit_now(self, headers: Headers) -> bool:
        """Admits whoever shows a token that was verified before, or none."""
        try:
            token = _token(headers)
            person = self._verifier.remembered(token) if token is not None else None
            if token is not None and person is None:
                return False
            self._check(_caller(person))
        except DomainError as error:
            raise _refusal(error) from None
        return True

    async def admit(self, headers: Headers) -> None:
        """Admits whoever the token speaks of."""
        try:
            token = _token(headers)
            person = await self._verifier.verify(token) if token is not None else None
            self._check(_caller(person))
        except DomainError as error:
            raise _refusal(error) from None


def _refusal(error: DomainError) -> StatusError:
    return StatusError(status_from_error(error, _DOMAIN))


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


def _caller(person: Person | None) -> Caller:
    if person is None:
        return Caller(service=NAME)
    return Caller(service=NAME, subject=person.subject, roles=person.roles, session=person.session)
