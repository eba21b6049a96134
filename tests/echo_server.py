"""A mesh server of the echo contract, and callers of it, each with a certificate of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.local import certs
from services.mesh import clients, identity, server
from services.mesh.app import App, Mesh
from services.mesh.server import Listening
from services.mesh.settings import MeshSettings
from tests import echo
from tests.echo import EchoResponse, EchoStub

IDENTITIES = ("echo", "gateway", "developer", "order", "product")
KEY_ID = "test"
SIGNING_KEY = Ed25519PrivateKey.generate()

Behaviour = Callable[[Any, Any], Awaitable[None]]


def settings(folder: Path, name: str, **changes: Any) -> MeshSettings:
    """Return the settings of the service `name`, whose certificates are in `folder`."""
    base = MeshSettings(
        listen="127.0.0.1:0",
        tls_ca=folder / "ca.pem",
        tls_cert=folder / f"{name}.pem",
        tls_key=folder / f"{name}-key.pem",
        drain_wait=timedelta(0),
        drain_grace=timedelta(seconds=2),
    )
    return replace(base, **changes)


def make_certificates(folder: Path) -> None:
    """Make the certificates of everybody."""
    certs.ensure(folder, IDENTITIES)


def token(subject: str = "ann", roles: Iterable[str] = (), **changes: Any) -> str:
    """Return an access token that the servers accept, unless the `changes` break it."""
    now = int(time.time())
    claims = {
        "iss": MeshSettings().token_issuer,
        "aud": MeshSettings().token_audience,
        "sub": subject,
        "roles": list(roles),
        "sid": "session-1",
        "nbf": now,
        "exp": now + 3600,
    }
    headers = {"typ": "at+jwt", "kid": KEY_ID}
    return jwt.encode(claims | changes, SIGNING_KEY, algorithm="EdDSA", headers=headers)


def bearer(*arguments: Any, **changes: Any) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries such a token."""
    return (("authorization", f"Bearer {token(*arguments, **changes)}"),)


async def keys() -> Mapping[str, bytes]:
    """Give the key that the tokens are signed with."""
    return {KEY_ID: SIGNING_KEY.public_key().public_bytes_raw()}


class EchoServicer:
    """Answers what it is sent and who sent it; `behave` runs first and may do anything else."""

    def __init__(self, behave: Behaviour | None = None) -> None:
        self._behave = behave

    async def _answer(self, request: Any, context: Any) -> Any:
        if self._behave is not None:
            await self._behave(request, context)
        who = identity.caller()
        return EchoResponse(
            text=request.text,
            service=who.service or "",
            subject=who.subject or "",
            roles=sorted(who.roles),
        )

    Public = SignedIn = Admin = Internal = Own = Write = WriteOnce = _answer

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802  # an RPC
        """Answer twice, and then stay."""
        yield await self._answer(request, context)
        yield await self._answer(request, context)
        if request.text == "stay":
            await asyncio.Event().wait()

    WatchSignedIn = Watch

    async def Upload(self, requests: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802  # likewise
        """Answer with all texts."""
        texts = [(await self._answer(request, context)).text async for request in requests]
        return EchoResponse(text=",".join(texts))

    async def Chat(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802  # likewise
        """Answer each."""
        async for request in requests:
            yield await self._answer(request, context)


@asynccontextmanager
async def echoing(
    folder: Path,
    behave: Behaviour | None = None,
    *,
    app: Mapping[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Listening]:
    """Serve the echo contract; `app` and `changes` replace fields of the app and the settings."""
    servicers = {echo.SERVICE: EchoServicer(behave)}
    built = replace(App(servicers=servicers, keys=keys), **(app or {}))
    async with (
        clients.open_mesh("echo", settings(folder, "echo", **changes)) as mesh,
        server.serving(built, mesh) as listening,
    ):
        yield listening


@asynccontextmanager
async def mesh_of(
    folder: Path, name: str, listening: Listening, **changes: Any
) -> AsyncIterator[Mesh]:
    """Open the mesh as the service `name` sees it."""
    targets = {"echo": listening.address}
    async with clients.open_mesh(name, settings(folder, name, targets=targets, **changes)) as mesh:
        yield mesh


@asynccontextmanager
async def calling(
    folder: Path, listening: Listening, name: str = "gateway", **changes: Any
) -> AsyncIterator[EchoStub]:
    """Give a stub with which the service `name` calls."""
    async with mesh_of(folder, name, listening, **changes) as mesh:
        yield EchoStub(mesh.channel("echo"))
