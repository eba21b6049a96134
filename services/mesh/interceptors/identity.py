"""Finds out who calls: the service by its certificate, the person by the access token.

    metadata   authorization: Bearer <access token>
               x-souk-service: <name>               read only where TLS is off, on loopback

Whatever else a peer says of itself is not read.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from services.mesh import served_call
from services.mesh.access_token import Person, Verifier
from services.mesh.errors import DomainError, Unauthenticated
from services.mesh.identity import SERVICE_KEY, Caller, serve_as
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method
from souk.mesh.v1.policy_pb2 import Access

DEVELOPER = "developer"

_TRUST_DOMAIN = "spiffe://souk/"
_KNOWN_CONNECTIONS = 1024

Peer = Callable[[Context], str | None]


class AuthorizationMalformed(Unauthenticated):
    """There is more than one `authorization`, or it holds no bearer token (RFC 6750, 2.1)."""

    reason = "AUTHORIZATION_MALFORMED"


def identity(peer: Peer, tokens: Verifier) -> Interceptor:
    """Return the interceptor. `peer` names the calling service, `tokens` reads access tokens.

    An INTERNAL method has no person behind it: its token is not looked at. A PUBLIC method is open
    to somebody whose token has expired, for example to renew it: there an invalid one counts as
    none. Elsewhere it is Unauthenticated.
    """

    def intercept(method: Method, handler: Handler) -> Handler:
        is_public = method.access == Access.ACCESS_PUBLIC

        async def handle(request: Any, context: Context) -> Any:
            service, token = peer(context), bearer_token()
            person = None if token is None else tokens.remembered(token)
            if token is not None and person is None:
                # Told before the token is verified, so that a refusal is logged with its sender.
                serve_as(_caller(service, None))
                person = await verify(token)
            serve_as(_caller(service, person))
            return await handler(request, context)

        async def handle_internal(request: Any, context: Context) -> Any:
            serve_as(_caller(peer(context), None))
            return await handler(request, context)

        async def verify(token: str) -> Person | None:
            try:
                return await tokens.verify(token)
            except DomainError:
                if is_public:
                    return None
                raise

        return handle_internal if method.access == Access.ACCESS_INTERNAL else handle

    return intercept


def certified_peers() -> Peer:
    """Return what names the service in a peer's certificate, None if it names none.

    A certificate is looked at once per connection: as often as it is asked for, gRPC would spell
    out the whole of it (docs/decisions/0012). A connection is known by its address together with
    the names in its certificate.
    """
    known: dict[tuple[str, tuple[bytes, ...]], str] = {}

    def peer(context: Context) -> str | None:
        connection = (context.peer(), tuple(context.peer_identities() or ()))
        name = known.get(connection)
        if name is None:
            name = _spiffe_service(context)
            if len(known) >= _KNOWN_CONNECTIONS:
                known.clear()
            known[connection] = name
        return name or None

    return peer


def _spiffe_service(context: Context) -> str:
    """Return the service of the certificate's one SPIFFE id (X.509-SVID, section 2), or ""."""
    ids = list(context.auth_context().get("peer_spiffe_id", ()))
    name = ids[0].decode() if len(ids) == 1 else ""
    return name.removeprefix(_TRUST_DOMAIN) if name.startswith(_TRUST_DOMAIN) else ""


def claimed_peer(_context: Context) -> str | None:
    """Return the service that the peer says it is, the developer if it says nothing."""
    return served_call.current().metadata.get(SERVICE_KEY, DEVELOPER)


def bearer_token() -> str | None:
    """Return the bearer token of the call, None if there is none. Raises AuthorizationMalformed."""
    value = served_call.current().metadata.get("authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    # Two of them would have been joined by a comma and a space.
    if scheme.lower() != "bearer" or not token or " " in token:
        raise AuthorizationMalformed("give one bearer token")
    return token


@lru_cache(maxsize=4096)
def _caller(service: str | None, person: Person | None) -> Caller:
    if person is None:
        return Caller(service=service)
    return Caller(
        service=service,
        subject=person.subject,
        roles=person.roles,
        session=person.session,
        expires_at=person.expires_at,
    )
