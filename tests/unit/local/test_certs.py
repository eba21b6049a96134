"""Certificates of the local authority: they verify, name their holder, and are renewed in time."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from services.local import certs, file_lock


def _verify(authority: certs.Pair, leaf: certs.Pair, *, host: str) -> None:
    store = verification.Store([authority.certificate])
    builder = verification.PolicyBuilder().store(store).time(datetime.now(UTC))
    builder.build_server_verifier(x509.DNSName(host)).verify(leaf.certificate, [])
    builder.build_client_verifier().verify(leaf.certificate, [])


@pytest.mark.parametrize(
    "host", ["order", "localhost", "order.souk.svc", "order.souk.svc.cluster.local"]
)
def test_leaf_verifies_as_server_and_client(host: str) -> None:
    """An issued identity is trusted on both ends under each of its names."""
    authority = certs.make_ca()
    _verify(authority, certs.issue(authority, "order"), host=host)


def test_leaf_of_another_authority_is_refused() -> None:
    """An identity signed by anybody else does not verify."""
    stranger = certs.issue(certs.make_ca(), "order")
    with pytest.raises(verification.VerificationError):
        _verify(certs.make_ca(), stranger, host="order")


def test_leaf_under_another_name_is_refused() -> None:
    """The order service's identity cannot serve as the payment service."""
    authority = certs.make_ca()
    with pytest.raises(verification.VerificationError):
        _verify(authority, certs.issue(authority, "order"), host="payment")


def test_leaf_carries_exactly_one_uri() -> None:
    """The SPIFFE id is the only URI in the certificate, as X.509-SVID demands."""
    leaf = certs.issue(certs.make_ca(), "order").certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["spiffe://souk/order"]


def test_ensure_issues_once(tmp_path: Path) -> None:
    """A second call finds everything in place and changes nothing."""
    assert certs.ensure(tmp_path, ["order"]) == ["ca", "order"]
    assert certs.ensure(tmp_path, ["order"]) == []


def test_ensure_renews_what_is_nearly_over(tmp_path: Path) -> None:
    """An identity with less than a third of its life left is issued again."""
    certs.ensure(tmp_path, ["order", "payment"])
    authority = certs.load(tmp_path, "ca")
    assert authority is not None
    certs.save(tmp_path, "order", certs.issue(authority, "order", life=timedelta(minutes=2)))
    assert certs.ensure(tmp_path, ["order", "payment"]) == ["order"]


def test_new_authority_renews_every_leaf(tmp_path: Path) -> None:
    """Identities of a former authority are replaced, since nobody trusts them any more."""
    certs.ensure(tmp_path, ["order"])
    (tmp_path / "ca.pem").unlink()
    assert certs.ensure(tmp_path, ["order"]) == ["ca", "order"]


def test_renewing_one_leaves_the_others(tmp_path: Path) -> None:
    """Another certificate for one identity is by the same authority, and nobody else gets one."""
    certs.ensure(tmp_path, ["order", "payment"])
    before = certs.certificates(tmp_path)
    certs.renew(tmp_path, ["order"])
    after = certs.certificates(tmp_path)
    changed = {name for name in after if after[name] != before[name]}
    assert ({"order"}, before["order"].issuer) == (changed, after["order"].issuer)


def test_who_changes_the_folder_is_alone(tmp_path: Path) -> None:
    """A second one who wants to change it is refused, until the first is done."""
    with certs.locked(tmp_path), pytest.raises(file_lock.Busy), certs.locked(tmp_path):
        pytest.fail("both were let in")
    with certs.locked(tmp_path):
        pass


def test_private_keys_are_private(tmp_path: Path) -> None:
    """Every private key can be read and written by its owner alone."""
    certs.ensure(tmp_path, ["order"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*-key.pem")}
    assert modes == {"ca-key.pem": 0o600, "order-key.pem": 0o600}
