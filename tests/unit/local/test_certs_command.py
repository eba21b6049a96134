"""`souk certs` and `souk secrets` say what they did, and what is wrong in words."""

import json
import os
from pathlib import Path

import pytest

from services.local import __main__, certs, endpoints, secret_rotation, topology
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from services.user import signing_keys

_RUNNING = Endpoints(
    **dict.fromkeys(("gateway", "sandbox", "postgres", "redis", "mongo", "certs"), ""),
    grpc={},
    probes={},
    metrics={},
    supervisor=os.getpid(),
)
"""A mesh as far as commands can see, which is this process."""


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Make identities in a data folder of which no mesh runs."""
    folder = str(tmp_path / "data")
    assert __main__.main(["certs", "issue", "--data", folder]) == 0
    return folder


def test_show_lists_everybody_with_issuer_and_expiry(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each identity stands in a line with its fingerprint, and the authority above them."""
    capsys.readouterr()
    assert __main__.main(["certs", "show", "--data", data]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    leaf = certs.certificates(Path(data) / "certs")["order"]
    assert [line[0] for line in lines] == ["ca", *sorted(topology.IDENTITIES)]
    assert certs.fingerprint(leaf)[:16] in next(line for line in lines if line[0] == "order")


def test_show_prints_json(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the same is an array, for programs."""
    capsys.readouterr()
    assert __main__.main(["certs", "show", "--json", "--data", data]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["order"]["identity"] == "spiffe://souk/order"
    assert found["order"]["issuer"] == found["ca"]["identity"]


def test_rotate_replaces_whom_it_is_told(data: str) -> None:
    """`rotate order` gives order another certificate, and nobody else."""
    before = certs.certificates(Path(data) / "certs")
    assert __main__.main(["certs", "rotate", "order", "--data", data]) == 0
    after = certs.certificates(Path(data) / "certs")
    assert {name for name in after if after[name] != before[name]} == {"order"}


def test_rotate_authority_replaces_all(data: str) -> None:
    """`rotate --authority` leaves one authority, another one, and everybody signed by it."""
    folder = Path(data) / "certs"
    before = certs.trusted(folder)
    assert __main__.main(["certs", "rotate", "--authority", "--data", data]) == 0
    (authority,) = certs.trusted(folder)
    issuers = {each.issuer for each in certs.certificates(folder).values()}
    assert (True, {authority.subject}) == ([authority] != before, issuers)


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (["certs", "rotate", "nobody"], 1, "there is no identity nobody; there are user, product"),
        (["secrets", "rotate", "nothing"], 2, "there is no secret nothing; there are database/"),
        (["secrets", "rotate"], 1, "no mesh is running"),
    ],
)
def test_what_is_wrong_is_said(
    data: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    fault: str,
) -> None:
    """A name that there is not, and a mesh that does not run, are told with what to do."""
    assert __main__.main([*arguments, "--data", data]) == code
    assert fault in capsys.readouterr().out


def test_nobody_rotates_while_another_does(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who comes second is told to wait."""
    with certs.locked(Path(data) / "certs"):
        assert __main__.main(["certs", "rotate", "--data", data]) == 1
    assert "being rotated already" in capsys.readouterr().out


def test_nobody_exchanges_secrets_while_another_does(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who comes second is told to wait, and nothing has been exchanged."""
    folder = DataFolder(Path(data))
    endpoints.save(folder, _RUNNING)
    signing_keys.create(folder.signing_keys, "only")

    with secret_rotation.locked(folder):
        code = __main__.main(["secrets", "rotate", "signing-key", "--data", data])

    assert (1, ["only.pem"]) == (code, [path.name for path in folder.signing_keys.glob("*.pem")])
    assert "secrets are being rotated already: wait" in capsys.readouterr().out
