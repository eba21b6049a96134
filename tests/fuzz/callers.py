"""Who calls: every identity of the mesh, and with those that face people every kind of person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import grpc
import grpc.aio

from services.local import topology
from services.mesh.ids import new_id
from services.mesh.settings import MeshSettings
from services.user.access_tokens import AccessTokens
from services.user.domain import Role
from services.user.signing_keys import SigningKeys
from tests.e2e.conftest import Mesh

_LIFE = timedelta(hours=12)
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    # A frame that is refused ends the call; no call is made twice behind our back.
    ("grpc.enable_retries", 0),
)
EDGE = ("gateway", "developer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An identity of the mesh, and the person whose token it brings."""

    identity: str
    person: str

    def __str__(self) -> str:
        """Name it as reports do."""
        return f"{self.identity} for {self.person}"


def tokens(mesh: Mesh, user_id: UUID) -> dict[str, str]:
    """Return the access token of every kind of person; `user_id` has an account."""
    defaults = MeshSettings()
    issuer = AccessTokens(
        SigningKeys(mesh.folder.signing_keys),
        issuer=defaults.token_issuer,
        audience=defaults.token_audience,
        life=_LIFE,
    )

    def token(*roles: Role, subject: UUID = user_id, age: timedelta = timedelta()) -> str:
        signed, _ = issuer.issue(
            subject, session_id=new_id(), roles=roles, issue_time=datetime.now(UTC) - age
        )
        return signed

    return {
        "nobody": "",
        "customer": token(),
        "stranger": token(subject=new_id()),
        **{str(role): token(role) for role in Role},
        "everyone": token(*Role),
        "yesterday": token(*Role, age=2 * _LIFE),
        "garbage": "garbage",
    }


def callers(persons: Mapping[str, str]) -> list[Caller]:
    """Return every kind of caller."""
    return [
        Caller(identity=identity, person=person)
        for identity in topology.IDENTITIES
        for person in (persons if identity in EDGE else ("nobody",))
    ]


def channel(address: str, certs: Path, identity: str) -> grpc.aio.Channel:
    """Open a channel as an identity of the mesh."""
    return grpc.aio.secure_channel(address, _credentials(certs, identity), _OPTIONS)


def plain_channel(address: str, certs: Path, identity: str) -> grpc.Channel:
    """Open a channel that blocks, likewise."""
    return grpc.secure_channel(address, _credentials(certs, identity), _OPTIONS)


def _credentials(certs: Path, identity: str) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (certs / "ca.pem").read_bytes(),
        (certs / f"{identity}-key.pem").read_bytes(),
        (certs / f"{identity}.pem").read_bytes(),
    )
