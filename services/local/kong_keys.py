"""The keys that access tokens are verified with, as Kong takes them.

    JWKS ── credentials ─┬─ declarative   kong.yaml with the keys in it
                         └─ manifests     the Secrets and the KongConsumer of a cluster

Kong reads no JWKS (docs/decisions/0121). Every key of the set is published, whether it signs yet,
or signs no more.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.local.derived.kong.plugins import PEOPLE
from services.local.derived.kong.text import document

_ALGORITHM = "EdDSA"
_CLASS = {"kubernetes.io/ingress.class": "kong"}
LABELS = {"app.kubernetes.io/part-of": "souk", "konghq.com/credential": "jwt"}
"""What a Secret of a signing key has, and by which those that are gone are found."""


class KeysUnusable(Exception):
    """The document is no set of keys that Kong can use; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One signing key: its `kid`, and its public half as Kong reads it."""

    kid: str
    public_key_pem: str


def credentials(key_set: Mapping[str, Any]) -> list[Credential]:
    """Returns the keys of a JSON Web Key Set. Raises KeysUnusable, also where there is none."""
    keys = key_set.get("keys")
    if not isinstance(keys, list) or not keys:
        raise KeysUnusable("the document has no `keys`: Kong would let nobody in")
    return [_credential(key) for key in keys]


def declarative(config: str, keys: Iterable[Credential]) -> str:
    """Returns a `kong.yaml` with the keys in it.

    Raises KeysUnusable where `config` has no consumer `people`.
    """
    content: dict[str, Any] = yaml.safe_load(config)
    people = [each for each in content.get("consumers", ()) if each.get("username") == PEOPLE]
    if not people:
        raise KeysUnusable(f"the configuration has no consumer `{PEOPLE}`")
    people[0]["jwt_secrets"] = [
        {"key": key.kid, "algorithm": _ALGORITHM, "rsa_public_key": key.public_key_pem}
        for key in keys
    ]
    return document(content)


def manifests(keys: Iterable[Credential]) -> str:
    """Returns a Secret for each key, and the KongConsumer that has them all."""
    secrets = [_secret(key) for key in keys]
    consumer = {
        "apiVersion": "configuration.konghq.com/v1",
        "kind": "KongConsumer",
        "metadata": {"name": PEOPLE, "annotations": _CLASS},
        "username": PEOPLE,
        "credentials": [secret["metadata"]["name"] for secret in secrets],
    }
    return "---\n".join(map(document, [*secrets, consumer]))


def _secret(key: Credential) -> dict[str, Any]:
    # A `kid` may be anything, a name of Kubernetes may not.
    digest = hashlib.sha256(key.kid.encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"signing-key-{digest}", "labels": LABELS},
        "stringData": {
            "key": key.kid,
            "algorithm": _ALGORITHM,
            "rsa_public_key": key.public_key_pem,
        },
    }


def _credential(key: Mapping[str, Any]) -> Credential:
    kid = key.get("kid")
    if not kid or key.get("kty") != "OKP" or key.get("crv") != "Ed25519":
        raise KeysUnusable(f"key {kid!r} is no Ed25519 key with a `kid` (RFC 8037 section 2)")
    x = str(key.get("x", ""))
    try:
        raw = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
        public = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError) as error:
        raise KeysUnusable(f"key {kid!r}: `x` is no Ed25519 public key: {error}") from error
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Credential(kid=str(kid), public_key_pem=pem.decode())
