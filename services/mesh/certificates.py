"""Certificates: who this process is, and whom it trusts.

Three PEM files: `tls_ca`, `tls_cert`, `tls_key`. They are read anew when they change, without a
restart; while a renewal is half written, what was read before stays in force.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from services.mesh.settings import MeshSettings, SettingsError
from services.mesh.watched_files import WatchedFiles

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """PEM: the authority's certificate, our own certificate and our private key."""

    ca: bytes
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Return a text without the key."""
        return "Credentials(***)"


_in_use: "WeakSet[CredentialFiles]" = WeakSet()


def in_use() -> list[Credentials]:
    """Return what the process shows and trusts now."""
    return [each.value for each in tuple(_in_use)]


class CredentialFiles(WatchedFiles[Credentials]):
    """The three files."""

    def __init__(self, ca: Path, certificate: Path, key: Path) -> None:
        """Raises OSError or ValueError if they cannot be used."""
        self._pem = (ca, certificate, key)
        super().__init__(self._pem, self.read)
        _in_use.add(self)

    def read(self) -> Credentials:
        """Return their content. Raises OSError or ValueError if it cannot be used."""
        ca, certificate, key = (path.read_bytes() for path in self._pem)
        ca_path, certificate_path, key_path = self._pem
        with _said_of(ca_path):
            x509.load_pem_x509_certificates(ca)
        with _said_of(certificate_path):
            public = x509.load_pem_x509_certificate(certificate).public_key()
        with _said_of(key_path):
            private = serialization.load_pem_private_key(key, None)
        if private.public_key() != public:
            raise ValueError(f"{key_path} does not belong to {certificate_path}")
        return Credentials(ca=ca, certificate=certificate, key=key)

    def changed(self, known: Credentials) -> Credentials | None:
        """Return the newest content that is whole, None if that is `known`.

        For a server's handshakes, which are not on the loop and shall not wait for its next look.
        """
        try:
            ca, certificate, key = (path.read_bytes() for path in self._pem)
            if (ca, certificate, key) == (known.ca, known.certificate, known.key):
                return None
            self.value = self.read()
        except (OSError, ValueError) as error:
            _log.warning("certificates kept as they were", error=str(error))
        return None if self.value == known else self.value


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Name the file in what is raised: ValueError."""
    try:
        yield
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The latter two are of a key with a password, and of a kind that nobody here knows.
        raise ValueError(f"{path} can't be used: {error}") from error


def credential_files(settings: MeshSettings) -> CredentialFiles | None:
    """Return the files that the settings name, None if TLS is off. Raises SettingsError."""
    if settings.tls == "off":
        return None
    if not (settings.tls_ca and settings.tls_cert and settings.tls_key):
        raise SettingsError(["SOUK_TLS is mtls, so SOUK_TLS_CA, _CERT and _KEY are required"])
    try:
        return CredentialFiles(settings.tls_ca, settings.tls_cert, settings.tls_key)
    except (OSError, ValueError) as error:
        raise SettingsError([f"SOUK_TLS_*: {error}"]) from error
