"""What a client shows is loaded from memory, or else from a file that is gone after."""

import os
import ssl
import tempfile
from pathlib import Path

import pytest

from gateway.transcoding.transport.native.tls import client_context
from services.local import certs


@pytest.fixture(params=["in memory", "in a file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files; half of the time of a system that has no files in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "in a file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    return tmp_path


def test_a_pair_is_loaded_and_leaves_nothing_behind(folder: Path) -> None:
    """Its private key least of all."""
    authority = certs.make_ca()
    pair = certs.issue(authority, "gateway")
    context = client_context(authority.certificate_pem, pair.certificate_pem, pair.key_pem)
    assert 1 == context.cert_store_stats()["x509_ca"]
    assert [] == list(folder.iterdir())


def test_a_key_of_another_certificate_is_refused(folder: Path) -> None:
    """As both are really read."""
    authority = certs.make_ca()
    one, other = (certs.issue(authority, name) for name in ("gateway", "order"))
    with pytest.raises(ssl.SSLError):
        client_context(authority.certificate_pem, one.certificate_pem, other.key_pem)
    assert [] == list(folder.iterdir())
