"""When the certificates that this process uses expire, for alerts, and for who exchanges them.

    souk_certificate_expiry_timestamp_seconds            name, fingerprint: what it shows
    souk_certificate_authority_expiry_timestamp_seconds  name, fingerprint: whom it trusts

Seconds since 1970. `fingerprint` is the SHA-256 in hex. Where several parts of a process read the
files, it shows whatever any of them shows, and trusts whom all of them trust: so a renewal has been
taken up when the former certificate is not told of any more, and a new authority when it is.
"""

from collections.abc import Iterable
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from services.mesh import certificates, metrics

SHOWN = "souk_certificate_expiry_timestamp_seconds"
TRUSTED = "souk_certificate_authority_expiry_timestamp_seconds"


@cache
def publish() -> None:
    """Tell of them whenever somebody reads the metrics of this process."""
    metrics.publish(collect)


def collect() -> Iterable[Metric]:
    """Return the metrics as they are now."""
    shown = GaugeMetricFamily(
        SHOWN, "When our certificate expires.", labels=("name", "fingerprint")
    )
    trusted = GaugeMetricFamily(
        TRUSTED, "When an authority that we trust expires.", labels=("name", "fingerprint")
    )
    in_use = certificates.in_use()
    ours = {each.certificate for each in in_use}
    for pem in ours:
        certificate = x509.load_pem_x509_certificate(pem)
        shown.add_metric((_identity(certificate), _fingerprint(certificate)), _expiry(certificate))
    bundles = [set(x509.load_pem_x509_certificates(each.ca)) for each in in_use]
    for certificate in set.intersection(*bundles) if bundles else ():
        name = certificate.subject.rfc4514_string()
        trusted.add_metric((name, _fingerprint(certificate)), _expiry(certificate))
    return shown, trusted


def _identity(certificate: x509.Certificate) -> str:
    """Return `order` for `spiffe://souk/order`, the subject if there is no such name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0].rpartition("/")[2] if uris else certificate.subject.rfc4514_string()


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _expiry(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()
