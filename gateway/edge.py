"""What browsers are told by every answer, and which hosts are served at all.

    x-content-type-options    nosniff: an answer is what it says, never a script by its looks
    content-security-policy   frame-ancestors 'none': no page may show an answer inside of itself
    referrer-policy           no-referrer: paths hold ids, which are nobody else's business
    strict-transport-security where TLS ends before the gateway (`SOUK_HSTS`)
    cache-control             no-store, for answers that are not everybody's

They are fixed lines of the server, but the last, so that they cost a request nothing and refusals
have them, too. No line names the server or its version.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from google.rpc import code_pb2, status_pb2

from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import StatusError
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse, header
from gateway.transcoding.response import write_error

_ALWAYS: Final = (
    b"x-content-type-options: nosniff\r\n"
    b"content-security-policy: frame-ancestors 'none'\r\n"
    b"referrer-policy: no-referrer\r\n"
)
_CACHE_CONTROL: Final = b"cache-control"
_MISDIRECTED: Final = 421


def fixed_lines(hsts: timedelta | None) -> bytes:
    """Gives the lines that every answer has."""
    if hsts is None:
        return _ALWAYS
    return _ALWAYS + b"strict-transport-security: max-age=%d\r\n" % hsts.total_seconds()


def keep_private(response: HttpResponse) -> None:
    """Has nobody store an answer, unless it says itself who may."""
    headers = response.headers
    if not any(name == _CACHE_CONTROL for name, _ in headers):
        headers.append((_CACHE_CONTROL, b"no-store"))


def serving_hosts(handler: Handler, hosts: Collection[str], codec: Codec) -> Handler:
    """Refuses requests for other hosts than these with 421; with none, changes nothing.

    A name that is not ours may still lead here: a page of that name could read what we answer (DNS
    rebinding), and a cache could keep it under that name.
    """
    if not hosts:
        return handler
    known = frozenset(host.lower() for host in hosts)

    def handle(request: HttpRequest) -> Answer:
        host = (header(request.headers, b"host") or "").lower()
        if host in known or _without_port(host) in known:
            return handler(request)
        status = status_pb2.Status(
            code=code_pb2.INVALID_ARGUMENT, message="this host is not served here"
        )
        error = StatusError(status, http_status=_MISDIRECTED)
        return write_error(error, request.headers, codec)

    return handle


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and not port.endswith("]") else host
