"""The Ed25519 keys that sign access tokens, in a folder that can be a mounted secret.

    <kid>.pem     a private key, PKCS #8; its public half is published as long as the file is there
    current       the kid of the key that signs

Rotation without a restart, as `key_rotation` does it on schedule: add the next key, wait until
everybody has fetched it, name it in `current`, and after the life of an access token remove the
former one. The folder is read again every few seconds; one that can't be used is reported and
leaves the keys as they were.
"""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.mesh.watched_files import WatchedFiles


class SigningKeysError(ValueError):
    """The folder of the signing keys can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The keys of one moment: all public ones (32 bytes) by kid, and the one that signs."""

    public: Mapping[str, bytes]
    current_kid: str
    current: Ed25519PrivateKey


class SigningKeys(WatchedFiles[KeySet]):
    """The keys of a folder, as they are now; to be followed (`Mesh.follow`)."""

    def __init__(self, folder: Path) -> None:
        """Read the folder. Raises SigningKeysError if it can't be used."""
        super().__init__([folder], lambda: read(folder))

    @property
    def keys(self) -> KeySet:
        """The keys as they were last read."""
        return self.value

    async def public(self) -> Mapping[str, bytes]:
        """Return the public keys by kid."""
        return self.value.public


def read(folder: Path) -> KeySet:
    """Return the keys of `folder`. Raises SigningKeysError naming what is wrong."""
    try:
        private = {path.stem: _private_key(path) for path in sorted(folder.glob("*.pem"))}
        kid = (folder / "current").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SigningKeysError(f"{error.filename}: {error.strerror}") from error
    if kid not in private:
        raise SigningKeysError(f"{folder / 'current'} names {kid!r}, but there is no {kid}.pem")
    public = {
        name: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        for name, key in private.items()
    }
    return KeySet(public=public, current_kid=kid, current=private[kid])


def create(folder: Path, kid: str) -> None:
    """Write a new key and let it sign; the folder is made if it is missing."""
    publish(folder, kid)
    sign_with(folder, kid)


def publish(folder: Path, kid: str) -> None:
    """Write a new key, which others may then have, and which does not sign yet."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    temporary = folder / f".{kid}.new"
    temporary.touch(mode=0o600)
    temporary.write_bytes(pem)
    temporary.replace(folder / f"{kid}.pem")


def sign_with(folder: Path, kid: str) -> None:
    """Let a key sign that was published before."""
    temporary = folder / ".current.new"
    temporary.write_text(kid, encoding="utf-8")
    temporary.replace(folder / "current")


def withdraw(folder: Path, *, unused_for: timedelta) -> list[str]:
    """Remove the keys that do not sign and have not for so long; returns their ids.

    All of them have been replaced since the one that signs was named, or before.
    """
    named_at = (folder / "current").stat().st_mtime
    if time.time() - named_at < unused_for.total_seconds():
        return []
    current = (folder / "current").read_text(encoding="utf-8").strip()
    former = [path for path in sorted(folder.glob("*.pem")) if path.stem != current]
    for path in former:
        path.unlink()
    return [path.stem for path in former]


def base64url(value: bytes) -> str:
    """Return `value` as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeysError(f"{path} holds no private key in PKCS #8") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeysError(f"{path} holds no Ed25519 key")
    return key
