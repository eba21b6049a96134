"""What cannot be used of a renewed certificate leaves the former one in force."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from services.local import certs
from services.mesh.certificates import CredentialFiles


@pytest.fixture
def files(tmp_path: Path) -> CredentialFiles:
    """Gives the files of an identity that is in use."""
    certs.ensure(tmp_path, ["order"])
    return CredentialFiles(tmp_path / "ca.pem", tmp_path / "order.pem", tmp_path / "order-key.pem")


@pytest.fixture
def with_password(tmp_path: Path, files: CredentialFiles) -> CredentialFiles:
    """Gives the files after the key was exchanged for one that takes a password."""
    pair = certs.load(tmp_path, "order")
    assert pair is not None
    pem = pair.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
    )
    (tmp_path / "order-key.pem").write_bytes(pem)
    return files


async def test_a_key_with_a_password_is_told_and_not_used(with_password: CredentialFiles) -> None:
    """It cannot be opened; whoever follows the files goes on following them."""
    before = with_password.value
    assert not await with_password.refresh()
    assert before == with_password.value


def test_a_handshake_goes_on_with_the_former_key(with_password: CredentialFiles) -> None:
    """A server that looks for itself keeps what it has, too."""
    assert with_password.changed(with_password.value) is None


@pytest.mark.parametrize("name", ["ca.pem", "order.pem", "order-key.pem"])
def test_what_cannot_be_used_is_named(tmp_path: Path, files: CredentialFiles, name: str) -> None:
    """Of three files, the message says which one it is."""
    (tmp_path / name).write_text("nothing")
    with pytest.raises(ValueError, match=f"{tmp_path / name} can't be used"):
        files.read()
