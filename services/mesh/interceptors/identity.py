"""Finds out who calls: the service by its certificate, the person by the access token.

    metadata   authorization: Bearer <access token>
               x-souk-service: <name>               read only where TLS is off, on loopback

Whatever else a peer says of itself is not read.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from services.mesh.access_token import Person
from services.mesh.errors import DomainError, Unauthenticated
from services.mesh.identity import Caller, serve_as
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method
from souk.mesh.v1.policy_pb2 import Access

SERVICE_KEY = "x-souk-service"
DEVELOPER = "developer"

_TRUST_DOMAIN = "spiffe://souk/"

Peer = Callable[[Context], str | None]
Verify = Callable[[str], Awaitable[Person]]


class AuthorizationMalformed(Unauthenticated):
    """There is more than one `authorization`, or it holds no bearer token (RFC 6750, 2.1)."""

    reason = "AUTHORIZATION_MALFORMED"


def identity(peer: Peer, verify: Verify) -> Interceptor:
    """Return the interceptor. `peer` names the calling service, `verify` reads an access token.

    An INTERNAL method has no person behind it: its token is not looked at. A PUBLIC method is open
    to somebody whose token has expired, for example to renew it: there an invalid one counts as
    none. Elsewhere it is Unauthenticated.
    """

    def intercept(method: Method, handler: Handler) -> Handler:
        is_public = method.access == Access.ACCESS_PUBLIC

        async def authenticate(context: Context) -> Caller:
            service = peer(context)
            token = bearer_token(context)
            if token is None:
                return Caller(service=service)
            # Told before the token is verified, so that a refused call is logged with its sender.
            serve_as(Caller(service=service))
            try:
                person = await verify(token)
            except DomainError:
                if is_public:
                    return Caller(service=service)
                raise
            return Caller(
                service=service,
                subject=person.subject,
                roles=person.roles,
                session=person.session,
            )

        async def handle(request: Any, context: Context) -> Any:
            serve_as(await authenticate(context))
            return await handler(request, context)

        async def handle_internal(request: Any, context: Context) -> Any:
            serve_as(Caller(service=peer(context)))
            return await handler(request, context)

        return handle_internal if method.access == Access.ACCESS_INTERNAL else handle

    return intercept


def certified_peer(context: Context) -> str | None:
    """Return the service in the peer's certificate, by its one SPIFFE id (X.509-SVID, 2)."""
    ids = list(context.auth_context().get("peer_spiffe_id", ()))
    if len(ids) != 1:
        return None
    name = ids[0].decode()
    return name.removeprefix(_TRUST_DOMAIN) if name.startswith(_TRUST_DOMAIN) else None


def claimed_peer(context: Context) -> str | None:
    """Return the service that the peer says it is, the developer if it says nothing."""
    named = [value for key, value in _metadata(context) if key == SERVICE_KEY]
    return str(named[0]) if named else DEVELOPER


def bearer_token(context: Context) -> str | None:
    """Return the bearer token, None if there is none. Raises AuthorizationMalformed."""
    values = [value for key, value in _metadata(context) if key == "authorization"]
    if not values:
        return None
    scheme, _, token = str(values[0]).partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise AuthorizationMalformed("give one bearer token")
    return token


def _metadata(context: Context) -> Any:
    return context.invocation_metadata() or ()
