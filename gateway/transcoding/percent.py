"""Decodes percent-encoding (RFC 3986 section 2.1) in paths and query strings, strictly.

`%` must be followed by two hexadecimal digits and the octets must be UTF-8: a request that breaks
either rule is refused, since two servers would read it differently.
"""

import enum
import re
from typing import Final
from urllib.parse import unquote_to_bytes


class Decoding(enum.Enum):
    """Which escapes of a variable of several segments stay, the readings http.proto permits."""

    EXCEPT_SLASH = "except-slash"
    EXCEPT_RESERVED = "except-reserved"
    ALL = "all"


class BadEscape(ValueError):
    """The text holds a malformed escape, or octets that are not UTF-8."""


_MALFORMED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT: Final = {
    Decoding.EXCEPT_SLASH: re.compile("(%2F)", re.IGNORECASE),
    # The gen-delims and sub-delims of RFC 3986 section 2.2.
    Decoding.EXCEPT_RESERVED: re.compile(
        "(%(?:21|23|24|26|27|28|29|2A|2B|2C|2F|3A|3B|3D|3F|40|5B|5D))", re.IGNORECASE
    ),
}


def decode(text: str, decoding: Decoding = Decoding.ALL) -> str:
    """Decodes the escapes of ASCII text, all of them or all but some. Raises BadEscape."""
    if "%" not in text:
        return text
    if malformed := _MALFORMED.search(text):
        escape = text[malformed.start() : malformed.start() + 3]
        raise BadEscape(f"{escape!r} is not a percent-escape")
    if decoding is Decoding.ALL:
        return _utf8(text)
    # Every second part is an escape to keep; what stands around it decodes on its own, because
    # the octet of a kept escape is ASCII and so never inside a UTF-8 sequence.
    parts = _KEPT[decoding].split(text)
    parts[::2] = [_utf8(part) for part in parts[::2]]
    return "".join(parts)


def _utf8(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise BadEscape("the escapes are not UTF-8") from None
