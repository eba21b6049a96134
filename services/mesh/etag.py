"""Etags: which version of a resource a caller has seen (AIP-154, RFC 9110 section 8.8.3)."""

import base64
import hashlib

from services.mesh.errors import Aborted


class EtagMismatch(Aborted):
    """The resource changed since the caller read it."""

    reason = "ETAG_MISMATCH"


def of(resource_id: object, version: int) -> str:
    """Returns the strong etag, quotes included, of one version of one resource."""
    digest = hashlib.sha256(f"{resource_id}\0{version}".encode()).digest()[:12]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def check(given: str, *, current: str) -> None:
    """Passes when the caller gave no etag, or the current one.

    Raises EtagMismatch otherwise. Read `current` in the transaction that writes, under its lock.
    """
    if given and given != current:
        raise EtagMismatch("the resource has changed; read it again")
