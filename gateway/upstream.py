"""One upstream address: the transport that reaches it, native or over a grpc.aio channel.

gRPC's own library is imported only where it was asked for (`--transport grpc-aio`).
"""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.settings import Options
from gateway.transcoding.errors import Metadata
from gateway.transcoding.transport import Transport
from gateway.transcoding.transport.native import NativeTransport, Target
from gateway.trust import Trust
from services.mesh.address import host_and_port

Closing = Coroutine[Any, Any, None]
"""Closes what no new call goes over, when the calls under way have ended or the time is up."""

READY_SECONDS: Final = 10.0
"""How long a renewed connection may take before calls wait for it."""

ServiceConfig = Mapping[str, Any]
"""A gRPC service config, as its JSON form has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What stays the same of an upstream."""

    address: str
    """`HOST:PORT`."""
    metadata: Metadata = ()
    """Goes with every call."""
    trust: Trust | None = None
    """None for plaintext."""
    max_message_bytes: int
    """Of each message that is answered."""


class Upstream(Protocol):
    """An address, kept connected until it is closed."""

    @property
    def transport(self) -> Transport:
        """What calls it, always the same."""
        ...

    def configure(self, config: ServiceConfig, grace_seconds: float) -> Closing | None:
        """Lets calls from now on be made by another service config."""
        ...

    def renew(self, grace_seconds: float) -> Closing:
        """Lets calls go over connections with the certificates of now, when one stands."""
        ...

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        ...


class NativeUpstream:
    """An address that is called by the native transport."""

    def __init__(self, link: Link, config: ServiceConfig) -> None:
        self._link = link
        self._native = NativeTransport(
            self._target(), config, link.metadata, max_message_bytes=link.max_message_bytes
        )

    @property
    def transport(self) -> Transport:
        """Gives the transport."""
        return self._native

    def configure(self, config: ServiceConfig, grace_seconds: float) -> None:  # noqa: ARG002  # the connections stay
        """Lets calls from now on be made by another service config."""
        self._native.configure(config)

    async def renew(self, grace_seconds: float) -> None:
        """Lets calls go over connections with the certificates of now, when one stands."""
        former = await self._native.renew_when_ready(self._target(), READY_SECONDS)
        await former.close(grace_seconds)

    async def close(self, grace_seconds: float = 0) -> None:
        """Lets calls under way end within so many seconds, and hangs up."""
        await self._native.close(grace_seconds)

    def _target(self) -> Target:
        name, port = host_and_port(self._link.address)
        trust = self._link.trust
        context = trust.context() if trust is not None else None
        return Target(name=name, port=port, context=context)


def opened(options: Options, link: Link, config: ServiceConfig) -> Upstream:
    """Opens an upstream by the transport of the command line."""
    if options.transport == "native":
        return NativeUpstream(link, config)
    from gateway.channel import ChannelUpstream  # noqa: PLC0415  # imports gRPC's own library

    return ChannelUpstream(link, config)
