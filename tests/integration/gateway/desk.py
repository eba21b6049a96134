"""A service behind the gateway that admits by token, and the tokens that are right for it."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import empty_pb2

from souk.mesh.v1.keys_pb2 import JsonWebKeySet

SERVICE = "desk.v1.Desk"
KEY = Ed25519PrivateKey.generate()
# Tests show tokens that were made when they were collected, perhaps many minutes before.
_DAY_SECONDS = 24 * 3600
MakeToken = Callable[..., str]


def token(
    *,
    subject: str = "u1",
    roles: tuple[str, ...] = (),
    lives_seconds: int = _DAY_SECONDS,
    key: Any = KEY,
) -> str:
    """Makes an access token of the mesh."""
    now = int(time.time())
    claims = {
        "iss": "https://souk.local",
        "aud": "souk",
        "sub": subject,
        "nbf": now - 600,
        "exp": now + lives_seconds,
        "roles": list(roles),
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k1", "typ": "at+jwt"})


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Runs the service, which remembers the metadata of its calls and publishes the key."""
    calls: list[dict[str, Any]] = []

    async def answer(_: bytes, context: Any) -> bytes:
        left = context.time_remaining()
        calls.append({**dict(context.invocation_metadata()), "left": left})
        return empty_pb2.Empty().SerializeToString()

    async def keys(_: bytes, __: Any) -> bytes:
        raw = base64.urlsafe_b64encode(KEY.public_key().public_bytes_raw()).decode().rstrip("=")
        published = JsonWebKeySet()
        published.keys.add(kty="OKP", crv="Ed25519", x=raw, kid="k1", alg="EdDSA", use="sig")
        return published.SerializeToString()

    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(answer) for name in ("Open", "Own", "Staff")
    }

    async def stream(_: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await answer(_, context)

    handlers["Hidden"] = handlers["Open"]
    handlers["Watch"] = grpc.unary_stream_rpc_method_handler(stream)
    handlers["GetJwks"] = grpc.unary_unary_rpc_method_handler(keys)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        await server.stop(None)
