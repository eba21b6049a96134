"""Fingerprints of requests: equal for equal requests, different for different ones."""

import hashlib
from collections.abc import Collection

from google.protobuf.message import Message


def fingerprint(request: Message, *, without: Collection[str]) -> bytes:
    """Returns the SHA-256 (32 bytes) over the request with the fields `without` left out.

    Serialization is deterministic within one version of the contract, not across languages
    (protobuf.dev/programming-guides/serialization-not-canonical). A fingerprint that changed with a
    release makes a repeated call fail rather than do something else.
    """
    kept = type(request)()
    kept.CopyFrom(request)
    for field in without:
        kept.ClearField(field)
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + kept.SerializeToString(deterministic=True)).digest()
