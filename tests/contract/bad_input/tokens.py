"""Access tokens that nobody may pass with, each wrong in one respect (RFC 8725, RFC 9068)."""

import base64
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.mesh.ids import new_id
from services.mesh.settings import MeshSettings
from tests.contract.shop import CUSTOMER, Shop

MakeToken = Callable[[Shop], str]

KEY = "only"  # as the shop names it
TYPE = "at+jwt"


def token(*, missing: str = "", header: Any = None, begins_in: int = 0, **claims: Any) -> MakeToken:
    """Return what makes a token of the shop's own key: right but for what is given or missing."""
    settings = MeshSettings()

    def make(shop: Shop) -> str:
        # The time is that of the call: the table of tokens is older than the test that shows them.
        now = int(time.time())
        right = {
            "iss": settings.token_issuer,
            "aud": settings.token_audience,
            "sub": str(CUSTOMER),
            "sid": str(new_id()),
            "roles": [],
            "nbf": now + begins_in,
            "exp": now + 600,
        }
        payload = {name: value for name, value in {**right, **claims}.items() if name != missing}
        headers = header if header is not None else {"kid": KEY, "typ": TYPE}
        key = shop.signing_keys.keys.current
        return jwt.encode(payload, key, algorithm="EdDSA", headers=headers)

    return make


def unsigned(shop: Shop) -> str:
    """Return a token that says it needs no signature (RFC 7519, 6)."""
    return _signed_as(shop, "none", None)


def signed_by_the_public_key(shop: Shop) -> str:
    """Return a token whose secret anybody can fetch (RFC 8725, 2.1)."""
    return _signed_as(shop, "HS256", shop.signing_keys.keys.public[KEY])


def signed_by_a_key_of_its_own(shop: Shop) -> str:
    """Return a token that brings the key along that it is to be verified with."""
    key = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    web_key = {"kty": "OKP", "crv": "Ed25519", "x": public}
    return _signed_as(shop, "EdDSA", key, jwk=web_key)


def changed(shop: Shop) -> str:
    """Return a token that was another person's."""
    header, _, signature = token()(shop).split(".")
    _, payload, _ = token(sub=str(new_id()), roles=["admin"])(shop).split(".")
    return f"{header}.{payload}.{signature}"


def cut(shop: Shop) -> str:
    """Return a token without its signature."""
    return token()(shop).rpartition(".")[0]


def _signed_as(shop: Shop, algorithm: str, key: Any, **header: Any) -> str:
    payload = jwt.decode(token()(shop), options={"verify_signature": False})
    headers = {"typ": TYPE, "kid": KEY, **header}
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


INVALID_TOKENS: dict[str, MakeToken] = {
    "no token": lambda _: "token",
    "no signature": cut,
    "not signed": unsigned,
    "signed by the public key": signed_by_the_public_key,
    "signed by a key of its own": signed_by_a_key_of_its_own,
    "changed after it was signed": changed,
    "of another type": token(header={"kid": KEY, "typ": "JWT"}),
    "of no type": token(header={"kid": KEY, "typ": None}),
    "with a critical extension": token(header={"kid": KEY, "typ": TYPE, "crit": ["exp"]}),
    "by an unknown key": token(header={"kid": "another", "typ": TYPE}),
    "by no key": token(header={"typ": TYPE}),
    "by another issuer": token(iss="https://example.com"),
    "by no issuer": token(missing="iss"),
    "for another audience": token(aud="another"),
    "for two audiences": token(aud=["souk", "another"]),
    "for no audience": token(missing="aud"),
    "of nobody": token(missing="sub"),
    "of an empty name": token(sub=""),
    "of a number": token(sub=7),
    "without an end": token(missing="exp"),
    "with an end that is no time": token(exp="tomorrow"),
    "without a beginning": token(missing="nbf"),
    "not valid yet": token(begins_in=300),
    "with a text for its roles": token(roles="admin"),
    "with numbers for its roles": token(roles=[1]),
}
