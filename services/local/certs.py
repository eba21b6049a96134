"""The local certificate authority and the identities it issues.

    certs/
      ca.pem                  what everybody trusts
      ca-key.pem              signs; never leaves this folder
      <name>.pem              leaf, then nothing: the authority signs directly
      <name>-key.pem          its private key

A leaf names its holder by one URI, `spiffe://souk/<name>` (SPIFFE X.509-SVID, section 2), and by
the DNS names under which it is reached here and in a cluster. Keys are ECDSA P-256, which every
TLS stack verifies. Private keys can be read by their owner alone.
"""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUST_DOMAIN = "souk"
AUTHORITY = "ca"

_AUTHORITY_LIFE = timedelta(days=365)
_LEAF_LIFE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def spiffe_id(name: str) -> str:
    """Returns the identity of `name` in the mesh, like `spiffe://souk/order`."""
    return f"spiffe://{TRUST_DOMAIN}/{name}"


def make_ca(*, life: timedelta = _AUTHORITY_LIFE) -> Pair:
    """Returns a new authority that may sign leaves but no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name("Souk local CA")
    builder = _builder(name, name, key.public_key(), life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return Pair(certificate=builder.sign(key, hashes.SHA256()), key=key)


def issue(authority: Pair, name: str, *, life: timedelta = _LEAF_LIFE) -> Pair:
    """Returns a new identity for `name`, good as a server and as a client on both ends of mTLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _builder(_common_name(name), issuer, key.public_key(), life)
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(_alternative_names(name), critical=False)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(authority_key, critical=False)
    return Pair(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def remaining(certificate: x509.Certificate) -> float:
    """Returns the share of the certificate's life that is left, from 1 down to 0 or below."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (end - datetime.now(UTC)) / (end - begin)


def ensure(folder: Path, names: Iterable[str]) -> list[str]:
    """Makes what is missing in `folder` and renews what has less than a third of its life left.

    Returns the names issued anew. A renewed authority renews every leaf.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _load(folder, AUTHORITY)
    issued = []
    if authority is None or _is_old(authority):
        authority = make_ca()
        _save(folder, AUTHORITY, authority)
        issued.append(AUTHORITY)
    for name in names:
        leaf = _load(folder, name)
        if leaf is None or _is_old(leaf) or not _is_signed_by(leaf, authority):
            _save(folder, name, issue(authority, name))
            issued.append(name)
    return issued


def rotate(folder: Path, names: Iterable[str]) -> None:
    """Replaces the authority and every identity, for when a key may have leaked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = make_ca()
    _save(folder, AUTHORITY, authority)
    for name in names:
        _save(folder, name, issue(authority, name))


def certificates(folder: Path) -> dict[str, x509.Certificate]:
    """Returns every certificate in `folder` by name, sorted."""
    paths = sorted(path for path in folder.glob("*.pem") if not path.stem.endswith("-key"))
    return {path.stem: x509.load_pem_x509_certificate(path.read_bytes()) for path in paths}


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _alternative_names(name: str) -> x509.SubjectAlternativeName:
    hosts = (name, "localhost", f"{name}.souk.svc", f"{name}.souk.svc.cluster.local")
    return x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier(spiffe_id(name)),
            *(x509.DNSName(host) for host in hosts),
            x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """An authority signs certificates and nothing else, a leaf the reverse (X.509-SVID, 4.3)."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_old(pair: Pair) -> bool:
    return remaining(pair.certificate) < 1 / 3


def _is_signed_by(leaf: Pair, authority: Pair) -> bool:
    extension = leaf.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    expected = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return extension.value == expected


def _load(folder: Path, name: str) -> Pair | None:
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    if not (certificate.exists() and key.exists()):
        return None
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return Pair(certificate=x509.load_pem_x509_certificate(certificate.read_bytes()), key=private)


def _save(folder: Path, name: str, pair: Pair) -> None:
    """Puts the key first: who reloads on a changed certificate then finds the key that fits."""
    _replace(folder / f"{name}-key.pem", pair.key_pem, mode=0o600)
    _replace(folder / f"{name}.pem", pair.certificate_pem, mode=0o644)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    """Writes the file as a whole, so that nobody reads half of it or reads it too early."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
