"""The search for leaks finds each kind of them, and lets be what logs are full of."""

from pathlib import Path

import pytest

from tests import leaks

_TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2ln"  # pragma: allowlist secret

LEAKS = {
    "a planted secret": "password Canary-7 refused",
    "an access token": f"authorization: Bearer {_TOKEN}",
    "a hash of a password": "row $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    "a private key": "-----BEGIN " + "PRIVATE KEY-----",
    "a password in a URL": "cannot connect to postgresql://souk:hush@127.0.0.1/souk",
    "an e-mail address": '{"event":"sent","to":"ada@example.com"}',
    "SQL": "syntax error in SELECT user_id, email\n    FROM users WHERE",
}

HARMLESS = """
{"event":"call","rpc":"/souk.user.v1.UserService/Login","code":"OK","subject":"0199a3c4-0000"}
{"event":"serving","address":"127.0.0.1:50051","url":"https://souk.local","spiffe":"spiffe://souk/user"}
{"event":"select one of them from the list","error":"could not update the set"}
customer@souk.example
"""


@pytest.mark.parametrize("kind", leaks.KINDS)
def test_each_kind_is_found(kind: str, tmp_path: Path):
    """The file, the line and the kind are told; the leak itself is not told again."""
    log = tmp_path / "service.txt"
    log.write_text(f"first line\n{LEAKS[kind]}\n")

    with pytest.raises(AssertionError) as raised:
        leaks.check([log])

    assert f"service.txt, line 2: {kind}" in str(raised.value)
    assert LEAKS[kind] not in str(raised.value)


def test_what_logs_are_full_of_is_no_leak(tmp_path: Path):
    """Names of RPCs, ids, addresses of servers and words of SQL in a sentence are let be."""
    log = tmp_path / "service.txt"
    log.write_text(HARMLESS)

    leaks.check([log, tmp_path / "never-written.txt"])


def test_a_search_of_nothing_is_no_search(tmp_path: Path):
    """If no process has written anything, something is wrong with where they write."""
    (tmp_path / "empty.txt").touch()

    with pytest.raises(AssertionError, match="nothing was logged"):
        leaks.check([tmp_path / "empty.txt", tmp_path / "never-written.txt"])
