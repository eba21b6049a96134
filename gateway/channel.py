"""One upstream address that is called over a grpc.aio channel; the only use of gRPC's library."""

import json
from typing import Any

import grpc
import grpc.aio

from gateway.transcoding.transport import Transport
from gateway.transcoding.transport.grpc_aio import GrpcTransport
from gateway.upstream import READY_SECONDS, Closing, Link, ServiceConfig
from services.mesh import tls
from services.mesh.clients import CHANNEL_OPTIONS
from services.mesh.connection import Streams, close_when_idle, connected


class ChannelUpstream:
    """An address, its present channel, and the streams that are open on that."""

    def __init__(self, link: Link, config: ServiceConfig) -> None:
        self._link = link
        self._config = config
        self._renewals = 0
        self._channel = self._connect()
        self._streams = Streams()
        self._aio = GrpcTransport(self._channel, link.metadata, self._begun)

    @property
    def transport(self) -> Transport:
        """Gives the transport."""
        return self._aio

    def configure(self, config: ServiceConfig, grace_seconds: float) -> Closing:
        """Lets calls from now on go over a channel with another service config."""
        self._config = config
        self._renewals += 1
        return self._exchange(self._connect(), grace_seconds)

    async def renew(self, grace_seconds: float) -> None:
        """Lets calls go over a channel with the certificates of now, when it stands."""
        self._renewals += 1
        number, fresh = self._renewals, self._connect()
        await connected(fresh, READY_SECONDS)
        if number != self._renewals:
            await fresh.close()
            return
        await self._exchange(fresh, grace_seconds)

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await close_when_idle(self._channel, self._streams, grace_seconds)

    def _exchange(self, fresh: grpc.aio.Channel, grace_seconds: float) -> Closing:
        """Lets calls from now on go over another channel; returns what closes the former one."""
        closing = close_when_idle(self._channel, self._streams, grace_seconds)
        self._channel, self._streams = fresh, Streams()
        self._aio.renew(fresh)
        return closing

    def _begun(self, rpc: Any) -> None:
        self._streams.begun(rpc)

    def _connect(self) -> grpc.aio.Channel:
        link = self._link
        options = (
            *CHANNEL_OPTIONS,
            ("grpc.service_config", json.dumps(self._config)),
            ("grpc.max_receive_message_length", link.max_message_bytes),
        )
        target = f"dns:///{link.address}"
        if link.trust is None:
            return grpc.aio.insecure_channel(target, options)
        if link.trust.files is None:
            credentials = grpc.ssl_channel_credentials(link.trust.ca)
        else:
            credentials = tls.channel_credentials(link.trust.files.value)
        return grpc.aio.secure_channel(target, credentials, options)
