"""Certificates: who this process is, and whom it trusts.

Three PEM files: `tls_ca`, `tls_cert`, `tls_key`. They are read anew when they change, without a
restart; while a renewal is half written, what was read before stays in force.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from services.mesh.settings import MeshSettings, SettingsError

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


class CredentialFiles:
    """The three files. Each user of them asks `changed` with what it has."""

    def __init__(self, ca: Path, certificate: Path, key: Path) -> None:
        self._paths = (ca, certificate, key)

    def read(self) -> Credentials:
        """Return their content. Raises OSError or ValueError if it cannot be used."""
        ca, certificate, key = (path.read_bytes() for path in self._paths)
        x509.load_pem_x509_certificates(ca)
        public = x509.load_pem_x509_certificate(certificate).public_key()
        if serialization.load_pem_private_key(key, None).public_key() != public:
            raise ValueError("the private key does not belong to the certificate")
        return Credentials(ca=ca, certificate=certificate, key=key)

    def changed(self, known: Credentials) -> Credentials | None:
        """Return the content if it is usable and not `known`, else None."""
        try:
            ca, certificate, key = (path.read_bytes() for path in self._paths)
            if (ca, certificate, key) == (known.ca, known.certificate, known.key):
                return None
            return self.read()
        except (OSError, ValueError) as error:
            _log.warning("certificates kept as they were", error=str(error))
            return None


def credential_files(settings: MeshSettings) -> CredentialFiles | None:
    """Return the files that the settings name, None if TLS is off. Raises SettingsError."""
    if settings.tls == "off":
        return None
    if not (settings.tls_ca and settings.tls_cert and settings.tls_key):
        raise SettingsError(["SOUK_TLS is mtls, so SOUK_TLS_CA, _CERT and _KEY are required"])
    files = CredentialFiles(settings.tls_ca, settings.tls_cert, settings.tls_key)
    try:
        files.read()
    except (OSError, ValueError) as error:
        raise SettingsError([f"SOUK_TLS_*: {error}"]) from error
    return files
