"""The folder of the signing keys."""

from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.user import signing_keys
from services.user.signing_keys import SigningKeys, SigningKeysError


def test_the_newest_key_signs_and_all_are_published(tmp_path: Path):
    """A created key signs from then on; the former ones stay published."""
    signing_keys.create(tmp_path, "first")
    signing_keys.create(tmp_path, "second")

    keys = signing_keys.read(tmp_path)

    assert keys.current_kid == "second"
    assert set(keys.public) == {"first", "second"}


def test_a_published_key_verifies_what_its_private_half_signed(tmp_path: Path):
    """The 32 published bytes are the public half of the key that signs."""
    signing_keys.create(tmp_path, "only")
    keys = signing_keys.read(tmp_path)

    token = jwt.encode({"sub": "ada"}, keys.current, algorithm="EdDSA")
    public = Ed25519PublicKey.from_public_bytes(keys.public["only"])

    assert jwt.decode(token, public, algorithms=["EdDSA"]) == {"sub": "ada"}


def test_a_private_key_is_readable_by_its_owner_alone(tmp_path: Path):
    """The file of a private key has mode 0600."""
    signing_keys.create(tmp_path, "only")

    assert (tmp_path / "only.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("current", "another", "names 'another', but there is no another.pem"),
        ("only.pem", "no key", "only.pem holds no private key in PKCS #8"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, name: str, content: str, fault: str
):
    """What is wrong is said with the file that it is wrong with."""
    signing_keys.create(tmp_path, "only")
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(SigningKeysError, match=fault):
        SigningKeys(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path):
    """Without keys there is no service."""
    with pytest.raises(SigningKeysError, match="current: No such file"):
        SigningKeys(tmp_path)


def test_a_key_is_published_before_it_signs(tmp_path: Path):
    """Others can have the next key while the present one goes on signing."""
    signing_keys.create(tmp_path, "first")
    signing_keys.publish(tmp_path, "second")
    before = signing_keys.read(tmp_path)
    signing_keys.sign_with(tmp_path, "second")
    after = signing_keys.read(tmp_path)

    assert [before.current_kid, after.current_kid] == ["first", "second"]
    assert set(before.public) == set(after.public) == {"first", "second"}


def test_only_keys_of_which_no_token_can_live_are_withdrawn(tmp_path: Path):
    """A former key stays for as long as its tokens do, and the one that signs stays anyway."""
    signing_keys.create(tmp_path, "first")
    signing_keys.create(tmp_path, "second")

    assert signing_keys.withdraw(tmp_path, unused_for=timedelta(minutes=10)) == []
    assert signing_keys.withdraw(tmp_path, unused_for=timedelta(0)) == ["first"]
    assert set(signing_keys.read(tmp_path).public) == {"second"}
