"""Reads what a client asks for that opens a WebSocket (RFC 6455 section 4.2).

    Upgrade: websocket
    Origin: https://shop.example                     of browsers: one that is allowed, or our own
    Sec-WebSocket-Protocol: souk.json                or nothing at all
    Sec-WebSocket-Protocol: souk.json, souk.bearer.<token>

A browser's script can set no other header, so that an access token may come as a subprotocol. It
is taken for `Authorization` and never sent back; the other one is what is agreed on.
"""

from collections.abc import Collection
from typing import Final

from google.rpc import code_pb2, status_pb2

from gateway.transcoding.errors import Headers, StatusError, refuse
from gateway.transcoding.http import HttpRequest, header

SUBPROTOCOL: Final = "souk.json"
BEARER: Final = "souk.bearer."
ANY_ORIGIN: Final = "*"

_PROTOCOLS: Final = b"sec-websocket-protocol"
_AUTHORIZATION: Final = b"authorization"


def is_handshake(request: HttpRequest) -> bool:
    """Says whether the client asks for a WebSocket."""
    upgrade = header(request.headers, b"upgrade") if request.method == "GET" else None
    return upgrade is not None and upgrade.strip().lower() == "websocket"


def accept(request: HttpRequest, origins: Collection[str]) -> Headers:
    """Gives the header fields that agree, and puts a token where other requests have it.

    Raises StatusError for a page of another origin, and for subprotocols that are not ours.
    """
    _check_origin(request.headers, origins)
    offered = _offered(request.headers)
    tokens = [each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)]
    kept = [item for item in request.headers if item[0] != _PROTOCOLS]
    kept.extend((_AUTHORIZATION, f"Bearer {token}".encode("latin-1")) for token in tokens)
    request.replace(kept)
    if not offered:
        return []
    if SUBPROTOCOL not in offered:
        raise refuse("sec-websocket-protocol", f"expected {SUBPROTOCOL} among them")
    return [(_PROTOCOLS, SUBPROTOCOL.encode())]


def _offered(headers: Headers) -> list[str]:
    text = header(headers, _PROTOCOLS) or ""
    return [each.strip() for each in text.split(",") if each.strip()]


def _check_origin(headers: Headers, origins: Collection[str]) -> None:
    """Lets no page of a stranger speak with what the browser knows of us (RFC 6455 section 10.2).

    Unlike answers, messages are not withheld from such a page by the browser.
    """
    origin = header(headers, b"origin")
    if origin is None or origin in origins or ANY_ORIGIN in origins:
        return
    # The scheme is the proxy's who speaks TLS; host and port are what a page cannot choose.
    _, _, host = origin.partition("://")
    if not host or host.lower() != (header(headers, b"host") or "").lower():
        message = "pages of this origin may not open a WebSocket"
        raise StatusError(status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message=message))
