"""Opens channels to the upstreams: mTLS as the gateway, or plaintext; balanced; renewed.

    --upstream shop.v1.Orders=orders:443   ->   one channel an address, shared by its services

The deadlines and retries of a channel come from the policies of what is behind it. Certificates
are read anew when their files change, and calls then go over a new channel. With the native
transport unary calls go over its own connections, and only streams over the channel.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from gateway.settings import ANY_SERVICE, NAME, Options
from gateway.transcoding.descriptors import Descriptors, Faults
from gateway.transcoding.transport import Transport
from gateway.transcoding.transport.grpc_aio import GrpcTransport
from gateway.transcoding.transport.native import NativeTransport, Target
from gateway.transcoding.transport.native import tls as native_tls
from services.mesh import tls
from services.mesh.address import host_and_port
from services.mesh.certificates import CredentialFiles, Credentials
from services.mesh.clients import CHANNEL_OPTIONS
from services.mesh.interceptors.identity import SERVICE_KEY
from services.mesh.service_config import service_config

_RENEWAL_SECONDS: Final = 10.0
_RETIRING_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a TLS channel trusts and shows, and the files it came from.

    `files` is None where only the authority is given: then nothing is shown.
    """

    ca: bytes
    files: CredentialFiles | None = None
    certificate: Path | None = None
    key: Path | None = None

    def channel_credentials(self, known: Credentials | None) -> grpc.ChannelCredentials:
        """Gives the credentials of a new channel."""
        if known is None:
            return grpc.ssl_channel_credentials(self.ca)
        return tls.channel_credentials(known)

    def context(self, known: Credentials | None) -> ssl.SSLContext:
        """Gives the same to new connections of the native transport. Raises OSError."""
        if known is None:
            return native_tls.client_context(self.ca)
        return native_tls.client_context(known.ca, self.certificate, self.key)


def read_trust(options: Options) -> Trust | None:
    """Reads the TLS files of the command line; None means plaintext. Raises Faults."""
    if options.upstream_ca is None:
        return None
    try:
        if options.upstream_cert is None or options.upstream_key is None:
            return Trust(ca=options.upstream_ca.read_bytes())
        files = CredentialFiles(options.upstream_ca, options.upstream_cert, options.upstream_key)
        return Trust(
            ca=files.read().ca,
            files=files,
            certificate=options.upstream_cert,
            key=options.upstream_key,
        )
    except OSError as error:
        raise Faults([f"{Path(error.filename)}: {error.strerror}"]) from None
    except ValueError as error:
        raise Faults([f"--upstream-ca, -cert, -key: {error}"]) from None


class Upstreams:
    """The open channels, one an address."""

    def __init__(
        self, options: Options, descriptors: Descriptors, trust: Trust | None, services: set[str]
    ) -> None:
        """`services` are those to reach, by full name. Raises Faults for one without upstream."""
        self._trust = trust
        self._known = trust.files.read() if trust is not None and trust.files is not None else None
        self._has_policy = options.access == "policy"
        # Without certificates the mesh takes the name that a peer gives itself, on loopback.
        claims_name = self._has_policy and trust is None
        self._metadata = ((SERVICE_KEY, NAME),) if claims_name else ()
        self.address_of = {service: _address(options.upstreams, service) for service in services}
        missing = sorted(name for name, address in self.address_of.items() if not address)
        if missing:
            raise Faults(f"{service}: no --upstream serves it" for service in missing)
        self._contracts: dict[str, list[ServiceDescriptor]] = {}
        for service in sorted(services):
            contract = descriptors.pool.FindServiceByName(service)
            self._contracts.setdefault(self.address_of[service], []).append(contract)
        self._is_native = options.transport == "native"
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._transports: dict[str, GrpcTransport] = {}
        self._native: dict[str, NativeTransport] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Opens every channel. Connections are made at the first call."""
        context = self._context(self._known)
        for address, contracts in self._contracts.items():
            self._channels[address] = self._connect(address, contracts)
            aio = GrpcTransport(self._channels[address], self._metadata)
            self._transports[address] = aio
            if self._is_native:
                config = self._config(contracts)
                self._native[address] = NativeTransport(
                    _target(address, context), config, self._metadata
                )

    def channel(self, service: str) -> grpc.aio.Channel:
        """Gives the present channel to a service. Raises KeyError."""
        return self._channels[self.address_of[service]]

    def transport(self, service: str) -> Transport:
        """Gives the transport that reaches a service."""
        address = self.address_of[service]
        return self._native[address] if self._is_native else self._transports[address]

    async def renew(self) -> None:
        """Opens channels anew whenever the certificates change, until cancelled."""
        files = self._trust.files if self._trust is not None else None
        while files is not None and self._known is not None:
            await asyncio.sleep(_RENEWAL_SECONDS)
            fresh = await asyncio.to_thread(files.changed, self._known)
            if fresh is None:
                continue
            try:
                context = self._context(fresh)
            except OSError:
                # The files have changed again since; the next turn finds them whole.
                continue
            self._known = fresh
            for address, contracts in self._contracts.items():
                self._retire(self._channels[address].close(_RETIRING_SECONDS))
                self._channels[address] = self._connect(address, contracts)
                self._transports[address].renew(self._channels[address])
                if self._is_native:
                    former = self._native[address].renew(_target(address, context))
                    self._retire(former.close(_RETIRING_SECONDS))

    async def close(self) -> None:
        """Closes every channel."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.gather(
            *(channel.close() for channel in self._channels.values()),
            *(native.close() for native in self._native.values()),
        )

    def _config(self, contracts: Iterable[ServiceDescriptor]) -> dict[str, Any]:
        # Every call has its own deadline; grpcio's core counts those of a config too short.
        return service_config(contracts, timeouts=False) if self._has_policy else _balancing()

    def _context(self, known: Credentials | None) -> ssl.SSLContext | None:
        return self._trust.context(known) if self._trust is not None and self._is_native else None

    def _connect(self, address: str, contracts: Iterable[ServiceDescriptor]) -> grpc.aio.Channel:
        config = json.dumps(self._config(contracts))
        options = (*CHANNEL_OPTIONS, ("grpc.service_config", config))
        if self._trust is None:
            return grpc.aio.insecure_channel(f"dns:///{address}", options)
        credentials = self._trust.channel_credentials(self._known)
        return grpc.aio.secure_channel(f"dns:///{address}", credentials, options)

    def _retire(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing, name="retired channel")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _balancing() -> dict[str, Any]:
    """Gives the service config of contracts that say nothing of deadlines and retries."""
    return {"loadBalancingConfig": [{"round_robin": {}}]}


@asynccontextmanager
async def open_upstreams(upstreams: Upstreams) -> AsyncIterator[None]:
    """Opens the channels, keeps their certificates fresh, and closes them."""
    upstreams.open()
    renewing = asyncio.create_task(upstreams.renew(), name="certificates")
    try:
        yield
    finally:
        renewing.cancel()
        await upstreams.close()


def reflection_channel(address: str, trust: Trust | None) -> grpc.aio.Channel:
    """Opens the channel over which a server is asked for its descriptors."""
    if trust is None:
        return grpc.aio.insecure_channel(address)
    known = trust.files.read() if trust.files is not None else None
    return grpc.aio.secure_channel(address, trust.channel_credentials(known))


def _target(address: str, context: ssl.SSLContext | None) -> Target:
    name, port = host_and_port(address)
    return Target(name=name, port=port, context=context)


def _address(upstreams: Mapping[str, str], service: str) -> str:
    return upstreams.get(service) or upstreams.get(ANY_SERVICE, "")
