"""Carries metadata where header fields of HTTP are metadata by their own names.

    in    any field but HTTP's own, a proxy's, the protocol's, and those that the mesh alone may set
    out   any key but HTTP's own and the protocol's

A key that ends in `-bin` has base64 in HTTP and bytes in gRPC.
"""

import base64
import re
from typing import Final

from gateway.transcoding import metadata
from gateway.transcoding.errors import Headers, Metadata
from gateway.transcoding.http import HttpRequest

# What browsers and proxies say to one another.
_NOT_METADATA: Final = re.compile(
    r"accept(?:-.*)?|access-control-.*|cache-control|connect-.*|date|dnt|expect|grpc-.*|if-.*"
    r"|max-forwards|origin|pragma|priority|range|referer|sec-.*|upgrade-insecure-requests|via"
    r"|x-grpc-web|x-user-agent"
)
_NOT_HEADERS: Final = re.compile(
    r"access-control-.*|alt-svc|cache-control|connect-.*|connection|content-.*|date|grpc-.*"
    r"|keep-alive|proxy-.*|server|set-cookie|strict-transport-security|te|trailer"
    r"|transfer-encoding|upgrade|user-agent|vary|www-authenticate|x-request-id"
)


def from_request(request: HttpRequest, denied: re.Pattern[str] | None = None) -> Metadata:
    """Gives the metadata of a call. Raises StatusError for a malformed or too large one.

    `denied` matches further keys that a client must not set.
    """
    found: list[tuple[str, str | bytes]] = []
    for name, value in request.headers:
        if name in metadata.FORWARDED:
            found.extend(metadata.forwarded(name, value))
            continue
        key = name.decode("latin-1")
        if not _NOT_METADATA.fullmatch(key) and not metadata.is_denied(key, denied):
            # Several values of a binary key may be joined (gRPC over HTTP/2, Custom-Metadata).
            texts = value.decode("latin-1")
            parts = texts.split(",") if key.endswith("-bin") else [texts]
            found.extend((key, metadata.read_value(key, key, part.strip())) for part in parts)
    return metadata.bounded((*found, *request.added))


def to_headers(answered: Metadata, prefix: str = "") -> Headers:
    """Gives header fields for metadata; with a prefix, no key is taken for HTTP's own."""
    return [
        (f"{prefix}{key}".encode(), to_text(value).encode())
        for key, value in answered
        if not _NOT_HEADERS.fullmatch(key)
    ]


def to_text(value: str | bytes) -> str:
    """Writes a value as HTTP has it: what is binary as base64 without padding."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode().rstrip("=")
    # A line break would start a header field of the service's making.
    return re.sub(r"[^\x20-\x7e]", "?", value)
