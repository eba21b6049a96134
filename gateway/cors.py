"""Lets pages of named origins call the gateway (the CORS protocol of the Fetch standard)."""

from collections.abc import Sequence
from typing import Final

from gateway.transcoding.errors import Headers
from gateway.transcoding.http import (
    Answer,
    Handler,
    HttpRequest,
    HttpResponse,
    finished,
    header,
)

_ANY: Final = "*"
# Metadata of answers may have any name. Some clients know no asterisk, and want these.
_EXPOSED: Final = (
    b"*, etag, retry-after, www-authenticate, x-request-id"
    b", grpc-status, grpc-message, grpc-status-details-bin"
)
_METHODS: Final = b"DELETE, GET, HEAD, PATCH, POST, PUT"
_MAX_AGE_SECONDS: Final = b"600"


def allowing(handler: Handler, origins: Sequence[str]) -> Handler:
    """Answers preflights and marks answers for the origins; with none, changes nothing.

    Credentials are not allowed: access tokens travel in `authorization`, not in cookies.
    """
    if not origins:
        return handler
    known = frozenset(origins)

    def handle(request: HttpRequest) -> Answer:
        origin = header(request.headers, b"origin")
        if origin is None or not (_ANY in known or origin in known):
            return handler(request) if _ANY in known else finished(handler(request), _vary)
        allowed = (_ANY if _ANY in known else origin).encode("latin-1")
        wanted = header(request.headers, b"access-control-request-method")
        if request.method == "OPTIONS" and wanted is not None:
            headers = [*_preflight(request), *_allowance(allowed)]
            return HttpResponse(status=204, headers=headers)

        def mark(response: HttpResponse) -> None:
            response.headers.append((b"access-control-expose-headers", _EXPOSED))
            response.headers += _allowance(allowed)

        return finished(handler(request), mark)

    return handle


def _allowance(origin: bytes) -> Headers:
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]


def _vary(response: HttpResponse) -> None:
    """Lets no cache give a page of an allowed origin what was answered to another (RFC 9110)."""
    response.headers.append((b"vary", b"origin"))


def _preflight(request: HttpRequest) -> Headers:
    asked = header(request.headers, b"access-control-request-headers")
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", _MAX_AGE_SECONDS),
    ]
    if asked is not None:
        headers.append((b"access-control-allow-headers", asked.encode("latin-1")))
    return headers
