"""What Vault asks of a Kubernetes API server: it signs ServiceAccounts' tokens and reviews them.

    POST /apis/authentication.k8s.io/v1/tokenreviews

A token is good if our key signed it, it has not expired, and it is meant for one of the audiences
that the review names (Kubernetes, "TokenReview").
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_key

from services.local import ports

ISSUER = "https://kubernetes.default.svc"
_OWN_AUDIENCE = ISSUER


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """A running API server at `url`."""

    url: str
    key: EllipticCurvePrivateKey = field(default_factory=lambda: new_key(SECP256R1()))

    def token(
        self,
        account: str,
        *,
        namespace: str = "souk",
        audience: str = "vault",
        seconds: int = 600,
        key: EllipticCurvePrivateKey | None = None,
    ) -> str:
        """Returns a token as the kubelet projects it into a pod."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": [audience],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now,
            "nbf": now - 5,
            "exp": now + seconds,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": f"uid-of-{namespace}-{account}"},
            },
        }
        return jwt.encode(claims, key or self.key, algorithm="ES256")

    async def review(self, request: web.Request) -> web.Response:
        """Answers a TokenReview."""
        asked = (await request.json())["spec"]
        audiences = asked.get("audiences") or [_OWN_AUDIENCE]
        try:
            claims = jwt.decode(
                asked["token"], self.key.public_key(), algorithms=["ES256"], audience=audiences
            )
        except jwt.InvalidTokenError as error:
            return _answer({"authenticated": False, "error": str(error)})
        account = claims["kubernetes.io"]["serviceaccount"]
        return _answer(
            {
                "authenticated": True,
                "user": {"username": claims["sub"], "uid": account["uid"], "groups": []},
                "audiences": [each for each in audiences if each in claims["aud"]],
            }
        )


@asynccontextmanager
async def serving() -> AsyncIterator[ApiServer]:
    """Serves on a free port until the block is left."""
    port = ports.free()[0]
    api = ApiServer(url=f"http://{ports.address(port)}")
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", api.review)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, ports.LOOPBACK, port).start()
        yield api
    finally:
        await runner.cleanup()


def _answer(status: dict[str, object]) -> web.Response:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
    return web.json_response(review, status=201)
