"""Lets pages of named origins call the gateway (the CORS protocol of the Fetch standard)."""

from collections.abc import Sequence
from typing import Final

from gateway.transcoding.asgi import Handler
from gateway.transcoding.errors import Headers
from gateway.transcoding.http import HttpRequest, HttpResponse, header

_ANY: Final = "*"
_EXPOSED: Final = b"etag, retry-after, www-authenticate, x-request-id"
_METHODS: Final = b"DELETE, GET, HEAD, PATCH, POST, PUT"
_MAX_AGE_SECONDS: Final = b"600"


def allowing(handler: Handler, origins: Sequence[str]) -> Handler:
    """Answers preflights and marks answers for the origins; with none, changes nothing.

    Credentials are not allowed: access tokens travel in `authorization`, not in cookies.
    """
    if not origins:
        return handler
    known = frozenset(origins)

    async def handle(request: HttpRequest) -> HttpResponse:
        origin = header(request.headers, b"origin")
        if origin is None or not (_ANY in known or origin in known):
            return await handler(request)
        wanted = header(request.headers, b"access-control-request-method")
        if request.method == "OPTIONS" and wanted is not None:
            response = HttpResponse(status=204, headers=_preflight(request))
        else:
            response = await handler(request)
            response.headers.append((b"access-control-expose-headers", _EXPOSED))
        allowed = _ANY if _ANY in known else origin
        response.headers.append((b"access-control-allow-origin", allowed.encode("latin-1")))
        response.headers.append((b"vary", b"origin"))
        return response

    return handle


def _preflight(request: HttpRequest) -> Headers:
    asked = header(request.headers, b"access-control-request-headers")
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", _MAX_AGE_SECONDS),
    ]
    if asked is not None:
        headers.append((b"access-control-allow-headers", asked.encode("latin-1")))
    return headers
