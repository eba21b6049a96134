"""How a process reaches other services, and how it reads what they answer.

    SOUK_TARGETS   user=127.0.0.1:50051,product=…      else dns:///<name>:50051, one address a pod

Contracts give the deadlines (`channel`) and what is retried (`service_config`); the load is spread
over all addresses of a target. The server must show the certificate of the service that was asked
for, whatever its address.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from services.mesh import background, certificates, tls, watched_files
from services.mesh.app import Mesh
from services.mesh.certificates import CredentialFiles
from services.mesh.channel import MeshChannel
from services.mesh.connection import Streams, close_when_idle
from services.mesh.errors import RemoteError
from services.mesh.identity import SERVICE_KEY
from services.mesh.service_config import service_config
from services.mesh.settings import GRPC_PORT, MeshSettings, secrets_of
from services.mesh.status import error_from_call
from services.mesh.watched_files import WatchedFiles

CHANNEL_OPTIONS = (
    # Whatever a name server says, the contract is what counts.
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    # A renewed channel shall not be given the old connection.
    ("grpc.use_local_subchannel_pool", 1),
)
"""The options of every channel of the mesh."""

_RETIRED_SECONDS = 30.0
_READY_SECONDS = 10.0


async def answers(call: Any) -> AsyncGenerator[Any, None]:
    """Yield what a stream answers; its call has ended when this is left.

    Raises RemoteError, also where the stream ended with its connection: grpc.aio then raises
    CancelledError in a task that nobody has cancelled.
    """
    try:
        async for each in call:
            yield each
    except grpc.aio.AioRpcError as error:
        raise error_from_call(error) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RemoteError("UNAVAILABLE", "the stream ended with its connection") from None
    finally:
        call.cancel()


@asynccontextmanager
async def open_mesh(name: str, settings: MeshSettings) -> AsyncIterator[Mesh]:
    """Yield the mesh as the service `name` sees it; its channels are closed at the end.

    Raises SettingsError if the certificates cannot be used.
    """
    beside = background.Tasks()
    channels = _Channels(name, settings, beside)
    followed: list[WatchedFiles[Any]] = [*channels.files(), *secrets_of(settings)]
    try:
        async with beside, watched_files.following(followed, settings.reload_period):
            yield Mesh(
                name=name, settings=settings, connect=channels.channel, follow=followed.append
            )
    finally:
        await channels.close()


class _Channels:
    """One channel per service, and the certificates they all use."""

    def __init__(self, name: str, settings: MeshSettings, beside: background.Tasks) -> None:
        """`beside` connects and drains, and ends before the channels are closed."""
        self._beside = beside
        self._targets = settings.targets
        self._files = certificates.credential_files(settings)
        if self._files is not None:
            self._files.on_change(self._renew)
        self._metadata = () if self._files else ((SERVICE_KEY, name),)
        self._open: dict[str, MeshChannel] = {}

    def channel(self, service: str) -> MeshChannel:
        """Return the channel to a service, always the same one."""
        if service not in self._open:
            self._open[service] = MeshChannel(
                service,
                lambda contracts: self._connect(service, contracts),
                self._retire,
                self._metadata,
            )
        return self._open[service]

    def files(self) -> list[CredentialFiles]:
        """Return what is to be followed, so that the certificates of calls are those of now."""
        return [self._files] if self._files is not None else []

    def _renew(self) -> None:
        for channel in self._open.values():
            self._beside.add(channel.renew_when_ready(_READY_SECONDS), name="renewed channel")

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._open.values():
            await channel.close()

    def _connect(self, service: str, contracts: Iterable[ServiceDescriptor]) -> grpc.aio.Channel:
        target = self._targets.get(service, f"dns:///{service}:{GRPC_PORT}")
        config = json.dumps(service_config(contracts, timeouts=False))
        options = (*CHANNEL_OPTIONS, ("grpc.service_config", config))
        if self._files is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(
            target,
            tls.channel_credentials(self._files.value),
            (*options, ("grpc.ssl_target_name_override", service)),
        )

    def _retire(self, connection: grpc.aio.Channel, streams: Streams) -> None:
        closing = close_when_idle(connection, streams, _RETIRED_SECONDS)
        self._beside.add(closing, name="retired channel")
