"""`souk kong-keys` makes of the user service's keys what Kong verifies access tokens with."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.local.__main__ import main
from services.local.derived.kong.plugins import ACCESS_TOKEN
from services.user import signing_keys


@pytest.fixture
def rotation(tmp_path: Path) -> Path:
    """The folder of the user service's keys, in a rotation: the second signs, the first did."""
    for kid in ("first", "second"):
        signing_keys.create(tmp_path / "keys", kid)
    return tmp_path / "keys"


@pytest.fixture
def jwks(rotation: Path, tmp_path: Path) -> Path:
    """What the user service answers with these keys."""
    keys = [
        {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid}
        | {"x": signing_keys.base64url(x)}
        for kid, x in signing_keys.read(rotation).public.items()
    ]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


def test_kong_verifies_what_either_key_signed(
    rotation: Path, jwks: Path, capsys: pytest.CaptureFixture[str]
):
    """In a rotation both keys count; each is found by the `kid` of the token's header."""
    assert main(["kong-keys", str(jwks)]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    (people,) = config["consumers"]
    credentials = {each["key"]: each for each in people["jwt_secrets"]}

    assert credentials.keys() == {"first", "second"}
    token = jwt.encode(
        {"sub": "u"}, signing_keys.read(rotation).current, "EdDSA", headers={"kid": "second"}
    )
    header = jwt.get_unverified_header(token)
    credential = credentials[header[ACCESS_TOKEN.config["key_claim_name"]]]
    public = load_pem_public_key(credential["rsa_public_key"].encode())
    assert isinstance(public, Ed25519PublicKey)
    assert credential["algorithm"] == header["alg"]
    assert jwt.decode(token, public, algorithms=["EdDSA"]) == {"sub": "u"}


def test_the_rest_of_the_configuration_stays(jwks: Path, capsys: pytest.CaptureFixture[str]):
    """What is given to Kong is kong.yaml, and the keys."""
    before = yaml.safe_load(Path("kong/kong.yaml").read_text())
    main(["kong-keys", str(jwks)])
    after = yaml.safe_load(capsys.readouterr().out)

    after["consumers"][0].pop("jwt_secrets")
    assert after == before


def test_a_cluster_gets_a_secret_for_each_key(jwks: Path, capsys: pytest.CaptureFixture[str]):
    """The KongConsumer has them all; the label is what makes Kong's controller read a Secret."""
    assert main(["kong-keys", "--kubernetes", str(jwks)]) == 0
    *secrets, consumer = yaml.safe_load_all(capsys.readouterr().out)

    assert [each["stringData"]["key"] for each in secrets] == ["first", "second"]
    assert {each["metadata"]["labels"]["konghq.com/credential"] for each in secrets} == {"jwt"}
    assert consumer["credentials"] == [each["metadata"]["name"] for each in secrets]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"keys": []}, "no `keys`"),
        ({}, "no `keys`"),
        ({"keys": [{"kty": "RSA", "kid": "a"}]}, "no Ed25519 key"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AA"}]}, "no Ed25519 public"),
    ],
)
def test_keys_that_kong_could_not_use_are_refused(
    document: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Kong would refuse everybody, or all of the configuration; what it has stays."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(document))

    assert main(["kong-keys", str(path)]) == 1
    assert reason in capsys.readouterr().out


class _Admin(BaseHTTPRequestHandler):
    """Takes a configuration as Kong's Admin API does, and refuses one that is not whole."""

    taken: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        config = yaml.safe_load(body["config"])
        self.taken.append({"path": self.path, "config": config})
        self.send_response(201 if config.get("services") else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def admin() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An Admin API: its URL, and what it was given."""
    taken: list[dict[str, Any]] = []
    handler = type("Admin", (_Admin,), {"taken": taken})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()


def test_keys_are_pushed_to_a_running_kong(
    admin: tuple[str, list[dict[str, Any]]], jwks: Path, capsys: pytest.CaptureFixture[str]
):
    """Kong takes all of its configuration at once; an unchanged one is not loaded again."""
    url, taken = admin
    assert main(["kong-keys", str(jwks), "--push", url]) == 0

    (given,) = taken
    assert given["path"] == "/config?check_hash=1"
    assert [key["key"] for key in given["config"]["consumers"][0]["jwt_secrets"]] == [
        "first",
        "second",
    ]
    assert "Kong knows first, second." in capsys.readouterr().out


def test_a_refusal_is_told(
    admin: tuple[str, list[dict[str, Any]]],
    jwks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    """What Kong does not take is an exit code and a sentence, not a traceback."""
    config = tmp_path / "kong.yaml"
    config.write_text("consumers: [{username: people}]")

    assert main(["kong-keys", str(jwks), "--push", admin[0], "--config", str(config)]) == 1
    assert "400" in capsys.readouterr().out
