"""Page tokens: opaque to the caller, valid only for the list they were made for (AIP-158).

    token := base64url( seal body )       without padding
    seal  := the first 12 bytes of SHA-256( bound_to body )
    body  := JSON of the cursor, an object of strings

The seal finds tokens that are damaged or belong to another list. It is no signature: a caller may
forge a cursor, so a cursor must never grant anything, and its values are parsed as untrusted.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from services.mesh.errors import FieldViolation, InvalidArgument
from services.mesh.fingerprint import fingerprint

T = TypeVar("T")

_SEAL_BYTES = 12


def binding(request: Message) -> bytes:
    """Returns what a list request's tokens are bound to: all of it but the page itself.

    The page size may change from page to page, everything else may not (AIP-158).
    """
    return fingerprint(request, without=("page_token", "page_size"))


def encode(cursor: Mapping[str, str], *, bound_to: bytes) -> str:
    """Returns the token for the page that begins after `cursor`."""
    body = json.dumps(dict(cursor), separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(_seal(body, bound_to) + body).rstrip(b"=").decode()


def decode(token: str, *, bound_to: bytes) -> dict[str, str]:
    """Returns the cursor that `token` was made from.

    Raises InvalidArgument naming `page_token` when it is malformed or made for another list.
    """
    return parse(token, bound_to=bound_to, into=dict)


def parse(token: str, *, bound_to: bytes, into: Callable[[dict[str, str]], T]) -> T:
    """Returns what `into` makes of the cursor of `token`.

    Raises InvalidArgument naming `page_token` as `decode` does, and also when `into` raises a
    KeyError, ValueError or OverflowError.
    """
    try:
        raw = base64.b64decode(
            token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if seal != _seal(body, bound_to):
            raise _invalid()
        return into(_cursor(body))
    except (ValueError, KeyError, OverflowError, binascii.Error) as error:
        raise _invalid() from error


def whole_number(text: str, *, bits: int) -> int:
    """Returns the number in a cursor; raises ValueError if the store's `bits` cannot hold it."""
    number = int(text)
    if number.bit_length() >= bits:
        raise ValueError("the number is too large")
    return number


def _cursor(body: bytes) -> dict[str, str]:
    cursor = json.loads(body)
    if not isinstance(cursor, dict) or not all(isinstance(each, str) for each in cursor.values()):
        raise ValueError("this is no cursor")
    return cursor


def _seal(body: bytes, bound_to: bytes) -> bytes:
    return hashlib.sha256(bound_to + body).digest()[:_SEAL_BYTES]


def _invalid() -> InvalidArgument:
    violation = FieldViolation(
        "page_token",
        "must be a next_page_token of the same list, with the other fields unchanged",
        "INVALID_PAGE_TOKEN",
    )
    return InvalidArgument("the page token is not valid here", violations=[violation])
