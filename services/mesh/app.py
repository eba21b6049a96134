"""What a service hands to the mesh, and what the mesh hands to a service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import ServiceDescriptor

from services.mesh.settings import MeshSettings
from services.mesh.watched_files import WatchedFiles

if TYPE_CHECKING:
    import grpc.aio

Worker = Callable[[], Awaitable[None]]
"""Runs beside the servicers until it is cancelled; one that returns or fails ends the process."""

Check = Callable[[], Awaitable[None]]
"""Raises when something that the service needs is not ready."""

KeySource = Callable[[], Awaitable[Mapping[str, bytes]]]
"""Gives the public keys of access tokens: 32 bytes of Ed25519 by key id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A service that is ready to be served.

    `servicers`: one object per gRPC service, by the service's descriptor. `workers` run as long as
    the process serves. `checks`, by the name of what they check, drive the health. `keys` is given
    only by the service that issues access tokens; the others ask it.
    """

    servicers: Mapping[ServiceDescriptor, object]
    workers: Sequence[Worker] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    keys: KeySource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """The mesh as the service `name` sees it."""

    name: str
    settings: MeshSettings
    connect: Callable[[str], "grpc.aio.Channel"]
    follow: Callable[[WatchedFiles[Any]], None]
    """Has files looked at for changes as long as the process lives; those of settings are."""

    def channel(self, service: str) -> Any:
        """Return the channel to another service; the mesh keeps and closes it.

        A `grpc.aio.Channel` for the generated stubs: mTLS, round robin over the target's addresses,
        deadlines and retries as the contracts say, trace context and deadline passed on.
        """
        return self.connect(service)
