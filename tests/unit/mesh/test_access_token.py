"""Access tokens: ours are read, and every forgery of RFC 8725 is refused."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.mesh.access_token import TokenExpired, TokenInvalid, Verifier

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ISSUER, AUDIENCE, KEY_ID = "https://souk.test", "souk", "key-1"


def verifier(counted: list[str] | None = None) -> Verifier:
    """Return a verifier that knows one key; `counted` gets each key id that it asks for."""

    async def key(key_id: str) -> Ed25519PublicKey | None:
        if counted is not None:
            counted.append(key_id)
        return KEY.public_key() if key_id == KEY_ID else None

    return Verifier(key, issuer=ISSUER, audience=AUDIENCE)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, but for the changes; None takes a claim away."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "roles": ["admin"],
        "sid": "session-1",
        "nbf": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(
    key: Any = KEY, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    """Return a token like ours, but for the changes."""
    head = {"typ": "at+jwt", "kid": KEY_ID} | (headers or {})
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=head)


def raw(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    """Return a token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hmac_with_public_key() -> str:
    """Return a token whose HMAC key is our public key, the classic confusion of algorithms."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    header = {"alg": "HS256", "typ": "at+jwt", "kid": KEY_ID}
    text = raw(header, claims()).rpartition(".")[0]
    digest = hmac.new(PUBLIC_PEM, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def with_own_key() -> str:
    """Return a token that brings the key it is signed with."""
    public = base64.urlsafe_b64encode(OTHER_KEY.public_key().public_bytes_raw()).rstrip(b"=")
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": public.decode(), "kid": KEY_ID}
    return signed(key=OTHER_KEY, headers={"jwk": jwk, "jku": "https://evil.test/jwks"})


def tampered() -> str:
    """Return a token of ours whose claims were changed after it was signed."""
    header, _, signature = signed().split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(sub="eve")).encode()).rstrip(b"=")
    return f"{header}.{payload.decode()}.{signature}"


ATTACKS: dict[str, Callable[[], str]] = {
    "not a token": lambda: "gibberish",
    "no algorithm": lambda: raw({"alg": "none", "typ": "at+jwt", "kid": KEY_ID}, claims()),
    "no algorithm, spelt otherwise": lambda: raw(
        {"alg": "NoNe", "typ": "at+jwt", "kid": KEY_ID}, claims()
    ),
    "HMAC with the public key": hmac_with_public_key,
    "another algorithm": lambda: signed(key=RSA_KEY, algorithm="RS256"),
    "another key": lambda: signed(key=OTHER_KEY),
    "its own key": with_own_key,
    "a certificate of its own": lambda: signed(
        key=OTHER_KEY, headers={"x5u": "https://evil.test/cert", "x5c": ["MIIB"], "x5t": "abc"}
    ),
    "changed claims": tampered,
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "unknown key id": lambda: signed(headers={"kid": "key-2"}),
    "key id as a path": lambda: signed(headers={"kid": "../../dev/null"}),
    "no key id": lambda: raw({"alg": "EdDSA", "typ": "at+jwt"}, claims()),
    "key id of another type": lambda: raw({"alg": "EdDSA", "typ": "at+jwt", "kid": 1}, claims()),
    "another type of token": lambda: signed(headers={"typ": "JWT"}),
    "no type": lambda: raw({"alg": "EdDSA", "kid": KEY_ID}, claims()),
    "a critical extension": lambda: signed(headers={"crit": ["exp"]}),
    "a critical extension that a library knows": lambda: signed(
        headers={"crit": ["b64"], "b64": True}
    ),
    "another issuer": lambda: signed(iss="https://evil.test"),
    "another audience": lambda: signed(aud="elsewhere"),
    "several audiences": lambda: signed(aud=[AUDIENCE, "elsewhere"]),
    "not valid yet": lambda: signed(nbf=int(time.time()) + 60),
    "no expiry": lambda: signed(exp=None),
    "no start": lambda: signed(nbf=None),
    "no subject": lambda: signed(sub=None),
    "empty subject": lambda: signed(sub=""),
    "no issuer": lambda: signed(iss=None),
    "no audience": lambda: signed(aud=None),
    "roles of another type": lambda: signed(roles="admin"),
    "a role of another type": lambda: signed(roles=[1]),
    "a session of another type": lambda: signed(sid=1),
}


async def test_our_token_is_read() -> None:
    """A token of ours tells who the person is."""
    person = await verifier().verify(signed())
    assert ("ann", frozenset({"admin"}), "session-1") == (
        person.subject,
        person.roles,
        person.session,
    )


@pytest.mark.parametrize("name", ATTACKS)
async def test_forgeries_are_refused(name: str) -> None:
    """A token that is not ours, or not as ours are, is invalid."""
    with pytest.raises(TokenInvalid):
        await verifier().verify(ATTACKS[name]())


async def test_an_expired_token_is_refused_as_such() -> None:
    """A token of ours that has expired is told apart, so that the client renews it."""
    with pytest.raises(TokenExpired):
        await verifier().verify(signed(exp=int(time.time()) - 6))


async def test_a_clock_may_be_a_little_off() -> None:
    """Five seconds after its end, or before its beginning, a token still counts."""
    now = int(time.time())
    assert (await verifier().verify(signed(exp=now - 2, nbf=now + 2))).subject == "ann"


async def test_a_verified_token_is_remembered() -> None:
    """The key is asked for once, however often the token comes."""
    asked: list[str] = []
    tokens, token = verifier(asked), signed()
    for _ in range(3):
        await tokens.verify(token)
    assert asked == [KEY_ID]


async def test_a_remembered_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was verified is refused when its time is over."""
    tokens, token = verifier(), signed()
    await tokens.verify(token)
    later = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: later)
    assert tokens.remembered(token) is None


async def test_forgotten_tokens_are_verified_anew() -> None:
    """After a key was withdrawn, no token is taken for granted."""
    tokens, token = verifier(), signed()
    await tokens.verify(token)
    tokens.forget()
    assert tokens.remembered(token) is None


async def test_memory_is_bounded() -> None:
    """The least recently used of more than 4096 tokens is forgotten."""
    tokens = verifier()
    first, second = signed(sub="first"), signed(sub="second")
    await tokens.verify(first)
    await tokens.verify(second)
    for number in range(4095):
        if number == 4000:
            await tokens.verify(first)
        await tokens.verify(signed(sub=f"user-{number}"))
    assert (True, False) == (
        tokens.remembered(first) is not None,
        tokens.remembered(second) is not None,
    )
