"""Reads request targets and hosts (RFC 9112 section 3.2).

    origin-form     /v1/orders?pageSize=2       what every request but a proxy's has
    absolute-form   http://shop.example/v1/...  a proxy's; its authority stands for Host
    asterisk-form   *                           of OPTIONS alone
    authority-form  shop.example:443            of CONNECT, which is not served

The path stays percent-encoded.
"""

import re
from functools import lru_cache
from typing import Final

from gateway.http1 import refusal

ASTERISK: Final = "*"

# RFC 3986 section 3.2.2 and RFC 9110 section 7.2; an empty one is a target without an authority.
_is_host = re.compile(
    rb"(?:\[[0-9A-Fa-f:.v]+\]|(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
).fullmatch
_absolute = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE).fullmatch


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Says whether a Host field could name a server. Most requests name the same few."""
    return _is_host(value) is not None


def read(target: bytes, method: str) -> tuple[str, str, bytes | None]:
    """Gives path, query, and the authority that replaces Host. Raises Refusal."""
    text = target.decode("latin-1")
    if "#" in text:
        raise refusal.malformed("the request target")
    authority = None
    if text[:1] != "/":
        if text == ASTERISK and method == "OPTIONS":
            return ASTERISK, "", None
        found = _absolute(text)
        if found is None or not _is_host(found[1].encode("latin-1")):
            raise refusal.malformed("the request target")
        authority = found[1].encode("latin-1")
        text = found[2] if found[2].startswith("/") else f"/{found[2]}"
    path, _, query = text.partition("?")
    return path, query, authority
