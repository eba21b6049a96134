"""The local certificate authority and the identities it issues.

    certs/
      ca.pem                  what everybody trusts: the authority, or two of them (`rollover`)
      ca-key.pem              signs; never leaves this folder
      ca-next-key.pem         will sign; there while the next authority is being introduced
      <name>.pem              leaf, then nothing: the authority signs directly
      <name>-key.pem          its private key
      lock                    held by whoever changes any of these

A leaf names its holder by one URI, `spiffe://souk/<name>` (SPIFFE X.509-SVID, section 2), and by
the DNS names under which it is reached here and in a cluster. Keys are ECDSA P-256, which every
TLS stack verifies. Private keys can be read by their owner alone.
"""

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.local import file_lock, whole_file

TRUST_DOMAIN = "souk"
AUTHORITY = "ca"
NEXT_KEY = "ca-next-key.pem"

# Nothing is revoked: what is stolen dies with its certificate (docs/decisions/0106).
_LEAF_LIFE = timedelta(hours=24)
_AUTHORITY_LIFE = timedelta(days=365)
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
    # A name of its own, so that who has two of them finds the right one by its name.
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    name = _common_name(f"Souk local CA {digest.hex()[:8]}")
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


def is_due(certificate: x509.Certificate) -> bool:
    """Tells whether less than a third of the certificate's life is left."""
    return remaining(certificate) < 1 / 3


def ensure(folder: Path, names: Iterable[str], *, life: timedelta = _LEAF_LIFE) -> list[str]:
    """Makes what is missing in `folder`, renews identities that are due or that nobody trusts.

    `life` is that of identities. Returns the names issued anew. An authority that is due is left to
    `rollover`, since who trusts it may be running; one that is gone is made anew, with every
    identity.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    issued = []
    if load(folder, AUTHORITY) is None:
        save(folder, AUTHORITY, make_ca())
        issued.append(AUTHORITY)
    return issued + renew(
        folder, [name for name in names if _needs_renewal(folder, name)], life=life
    )


def renew(folder: Path, names: Iterable[str], *, life: timedelta = _LEAF_LIFE) -> list[str]:
    """Gives each of the names another certificate by the authority; returns them."""
    authority = load(folder, AUTHORITY)
    if authority is None:
        raise FileNotFoundError(f"{folder} has no authority: run `souk certs issue`")
    renewed = list(names)
    for name in renewed:
        save(folder, name, issue(authority, name, life=life))
    return renewed


def trusted(folder: Path) -> list[x509.Certificate]:
    """Returns the authorities that are trusted; during a roll-over there are two."""
    path = folder / f"{AUTHORITY}.pem"
    return x509.load_pem_x509_certificates(path.read_bytes()) if path.exists() else []


def certificates(folder: Path) -> dict[str, x509.Certificate]:
    """Returns every identity's certificate in `folder` by name, sorted."""
    paths = sorted(path for path in folder.glob("*.pem") if not path.stem.endswith("-key"))
    return {
        path.stem: x509.load_pem_x509_certificate(path.read_bytes())
        for path in paths
        if path.stem != AUTHORITY
    }


def fingerprint(certificate: x509.Certificate) -> str:
    """Returns the SHA-256 of the certificate in hex, as `openssl x509 -fingerprint` has it."""
    return certificate.fingerprint(hashes.SHA256()).hex()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps others from changing `folder` for the length of the block. Raises Busy."""
    with file_lock.held(folder / "lock", "the certificates are being rotated"):
        yield


def load(folder: Path, name: str) -> Pair | None:
    """Returns the pair called `name`, None if it is not there or not whole."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    if not (certificate.exists() and key.exists()):
        return None
    private = load_key(key)
    for found in x509.load_pem_x509_certificates(certificate.read_bytes()):
        if found.public_key() == private.public_key():
            return Pair(certificate=found, key=private)
    return None


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Returns a private key of ours. Raises OSError or ValueError."""
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} is no key of an elliptic curve")  # noqa: TRY004 - as for others
    return private


def save(folder: Path, name: str, pair: Pair) -> None:
    """Puts the key first: who reloads on a changed certificate then finds the key that fits."""
    whole_file.write(folder / f"{name}-key.pem", pair.key_pem)
    whole_file.write(folder / f"{name}.pem", pair.certificate_pem, mode=0o644)


def _needs_renewal(folder: Path, name: str) -> bool:
    leaf = load(folder, name)
    if leaf is None or is_due(leaf.certificate):
        return True
    return not any(_is_signed_by(leaf, each) for each in trusted(folder))


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


def _is_signed_by(leaf: Pair, authority: x509.Certificate) -> bool:
    try:
        leaf.certificate.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True
