"""Carries header fields of HTTP into gRPC metadata and back.

    in    authorization, traceparent, tracestate, x-request-id, last-event-id   as they are
          grpc-metadata-<key>           <key>, unless it is one only the gateway may set
          anything else                 dropped: hop-by-hop fields, cookies, claimed identities
    out   initial metadata <key>        grpc-metadata-<key>
          trailing metadata <key>       grpc-trailer-<key>

A key that ends in `-bin` has base64 in HTTP and bytes in gRPC.
"""

import base64
import binascii
import re
from typing import Final

from gateway.transcoding.errors import Headers, Metadata, refuse, too_large
from gateway.transcoding.http import HttpRequest

MAX_BYTES: Final = 7 * 1024
"""Servers take 8 KiB by default, of which some is the gateway's own."""

FORWARDED: Final = {
    key.encode(): key
    for key in (*("authorization", "last-event-id", "traceparent", "tracestate", "x-request-id"),)
}
"""The header fields that are metadata by their own names, and these names."""

_IN: Final = b"grpc-metadata-"
_OUT: Final = "grpc-metadata-"
_TRAILER: Final = "grpc-trailer-"
# Keys that a client must not give under `grpc-metadata-`: gRPC's own, HTTP's own, and those by
# which proxies tell services who the client is.
_DENIED: Final = re.compile(
    r"grpc-.*|:.*|x-forwarded-.*|x-user-.*|x-real-ip|x-envoy-.*|forwarded|authorization|cookie"
    r"|connection|content-.*|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    r"|user-agent|traceparent|tracestate|x-request-id|cf-.*|true-client-ip|x-client-.*"
    r"|x-(?:amzn-oidc|anonymous|authenticated|consumer|credential|goog|ms-client|remote)-.*"
)
# gRPC over HTTP/2: Header-Name. An ASCII-Value is ASCII that is printable, spaces included.
_KEY: Final = re.compile(r"[0-9a-z_.\-]+")
_HIDDEN: Final = re.compile(r"grpc-.*|content-type|user-agent|date|server|traceparent")


def from_request(request: HttpRequest, denied: re.Pattern[str] | None = None) -> Metadata:
    """Gives the metadata that goes with the call of a request, ours and the client's.

    Raises StatusError as `from_headers` does.
    """
    names = request.names
    if FORWARDED.keys().isdisjoint(names) and b"\n".join(names).find(_IN) < 0:
        return tuple(request.added)
    return bounded((*from_headers(request.headers, denied), *request.added))


def from_headers(headers: Headers, denied: re.Pattern[str] | None = None) -> Metadata:
    """Gives the metadata that goes with a call.

    `denied` matches further keys that a client must not set. Raises StatusError for a malformed
    `grpc-metadata-` field, and for more metadata than servers take.
    """
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name in FORWARDED:
            metadata.extend(forwarded(name, value))
        elif name.startswith(_IN):
            key = name.removeprefix(_IN).decode("latin-1")
            if not is_denied(key, denied):
                metadata.append((key, read_value(f"{_OUT}{key}", key, value.decode("latin-1"))))
    return bounded(tuple(metadata))


def forwarded(name: bytes, value: bytes) -> Metadata:
    """Gives the metadata of one of FORWARDED; none if gRPC could not carry it."""
    text = value.decode("latin-1")
    return ((FORWARDED[name], text),) if text.isascii() and text.isprintable() else ()


def is_denied(key: str, denied: re.Pattern[str] | None = None) -> bool:
    """Says whether a client must not set this key."""
    return bool(_DENIED.fullmatch(key) or (denied and denied.fullmatch(key)))


def read_value(name: str, key: str, text: str) -> str | bytes:
    """Reads the value of a key. Raises StatusError, which names the header field `name`."""
    if not _KEY.fullmatch(key):
        raise refuse(name, "is no metadata key")
    if key.endswith("-bin"):
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise refuse(name, "expected base64") from None
    if not (text.isascii() and text.isprintable()):
        raise refuse(name, "expected printable ASCII")
    return text


def bounded(metadata: Metadata) -> Metadata:
    """Gives the metadata back. Raises StatusError for more than servers take."""
    # RFC 9113 section 6.5.2: an entry counts 32 bytes more than it has.
    size = 32 * len(metadata)
    for key, value in metadata:
        size += len(key) + len(value)
    if size > MAX_BYTES:
        raise too_large("the metadata", MAX_BYTES, http_status=431)
    return metadata


def to_headers(headers: Metadata, trailers: Metadata) -> Headers:
    """Gives the header fields for the metadata of an answer, gRPC's own left out."""
    if not headers and not trailers:
        return []
    return [*_fields(_OUT, headers), *_fields(_TRAILER, trailers)]


def _fields(prefix: str, metadata: Metadata) -> Headers:
    return [
        (f"{prefix}{key}".encode(), _text(value))
        for key, value in metadata
        if not _HIDDEN.fullmatch(key)
    ]


def _text(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return base64.b64encode(value)
    # A line break would start a header field of the service's making.
    return re.sub(r"[^\x20-\x7e]", "?", value).encode()


# gRPC over HTTP/2: Timeout, at most eight digits and a unit.
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def timeout_seconds(text: str | None, bound_seconds: float | None) -> float | None:
    """Reads `grpc-timeout`, bounded by the method's own deadline. Raises StatusError."""
    if text is None:
        return bound_seconds
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise refuse("grpc-timeout", "expected up to eight digits and one of H, M, S, m, u, n")
    asked = int(found[1]) * _UNIT_SECONDS[found[2]]
    return asked if bound_seconds is None else min(asked, bound_seconds)
