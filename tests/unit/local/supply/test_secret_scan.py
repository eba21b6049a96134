"""A secret is found wherever it is or ever was, and is not told again."""

import subprocess
from pathlib import Path

import pytest

from services.local.supply import secret_scan

# Put together here, so that this file holds none of them.
SECRETS = {
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "an access key of AWS": "aws = " + "AKIA" + "Q3EGT5ZKWXY7N2LM",
    "a token of GitHub": "token: " + "ghp_" + "a1B2" * 9,
    "a password in a URL": "postgresql://souk:" + "Kx8vQ2mL9p" + "@db/souk",
    "an access token": "ey" + "JhbGciOiJFZERTQSJ9.ey" + "JzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Makes a git repository."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "notes.txt").write_text("nothing to see\n")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    """Run git."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True)  # noqa: S603, S607  # ours


def commit(folder: Path) -> None:
    """Commit everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a change")


@pytest.mark.parametrize("kind", SECRETS)
def test_a_planted_secret_is_found(kind: str, repository: Path, capsys: pytest.CaptureFixture[str]):
    """Before it is committed, its file and line are told; it itself is not."""
    assert 0 == secret_scan.main([str(repository)])
    (repository / "config").write_text(f"fine\n{SECRETS[kind]}\n")

    assert 1 == secret_scan.main([str(repository)])

    told = capsys.readouterr().out
    assert told.startswith("config:2: ")
    assert SECRETS[kind] not in told


def test_a_secret_that_was_removed_is_found_in_the_history(
    repository: Path, capsys: pytest.CaptureFixture[str]
):
    """What was committed once can be read by everybody who has a copy."""
    (repository / "key.pem").write_text(SECRETS["a private key"])
    commit(repository)
    (repository / "key.pem").unlink()
    commit(repository)

    assert 1 == secret_scan.main([str(repository)])
    assert capsys.readouterr().out.startswith("commit ")


def test_templates_and_lines_that_say_so_are_no_secrets(repository: Path):
    """A variable in a URL is filled in elsewhere, and a known example is marked."""
    marked = f"{SECRETS['a private key']}  # pragma: allowlist secret"
    (repository / "config").write_text("redis://shop:{{password}}@redis/0\n" + marked)

    assert 0 == secret_scan.main([str(repository)])
