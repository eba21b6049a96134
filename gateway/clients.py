"""Keeps the upstreams: mTLS as the gateway, or plaintext; balanced; renewed; changed by contracts.

    --upstream shop.v1.Orders=orders:443   ->   one upstream an address, shared by its services

The retries of an upstream come from the policies of what is behind it. Certificates are read anew
when their files change; contracts come anew with `serve`. Calls under way go on as they began.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from gateway import upstream
from gateway.settings import ANY_SERVICE, NAME, Options
from gateway.transcoding.descriptors import Descriptors, Faults
from gateway.transcoding.transport import Transport
from gateway.trust import Trust
from gateway.upstream import Closing, Link, ServiceConfig, Upstream
from services.mesh import background, watched_files
from services.mesh.identity import SERVICE_KEY
from services.mesh.service_config import service_config

if TYPE_CHECKING:
    from services.mesh.certificates import CredentialFiles

# A stream may go on for long over the connection it began on; a reader may be about to call.
_RETIRING_SECONDS: Final = 3600.0
_UNUSED_SECONDS: Final = 60.0
_log = structlog.get_logger(__name__)

_BALANCING: Final[ServiceConfig] = {"loadBalancingConfig": [{"round_robin": {}}]}


def address_of(options: Options, service: str) -> str:
    """Gives where a service is, empty if nobody said so."""
    return options.upstreams.get(service) or options.upstreams.get(ANY_SERVICE, "")


def check_upstreams(options: Options, services: Collection[str]) -> None:
    """Raises Faults for every service, by full name, that has no upstream."""
    missing = sorted(service for service in services if not address_of(options, service))
    if missing:
        raise Faults(f"{service}: no --upstream serves it" for service in missing)


def tell_strangers(options: Options, known: Collection[str]) -> None:
    """Warns of every `--upstream` whose service no contract has, as one with a slip in its name."""
    for service in sorted(options.upstreams.keys() - {ANY_SERVICE, *known}):
        _log.warning("--upstream names a service that no contract has", upstream=service)


class Upstreams:
    """The open upstreams, one an address."""

    def __init__(
        self,
        options: Options,
        trust: Trust | None,
        beside: background.Tasks,
        also: Collection[str] = (),
    ) -> None:
        """`also` are services that are called whether or not their contracts are served.

        `beside` renews and drains, and ends before the upstreams are closed.
        """
        self._beside = beside
        self._also = {address_of(options, service) for service in also} - {""}
        self._options = options
        self._trust = trust
        for files in self.files():
            files.on_change(self._renew)
        # Without certificates the mesh takes the name that a peer gives itself, on loopback.
        claims_name = options.access == "policy" and trust is None
        self._metadata = ((SERVICE_KEY, NAME),) if claims_name else ()
        self._configs: dict[str, ServiceConfig] = {}
        self._open: dict[str, Upstream] = {}

    def serve(self, descriptors: Descriptors, services: Collection[str]) -> None:
        """Opens upstreams for these services, and lets calls be made as their contracts say.

        Each has an address: `check_upstreams` was called.
        """
        contracts: dict[str, list[ServiceDescriptor]] = {address: [] for address in self._also}
        for service in sorted(services):
            contract = descriptors.pool.FindServiceByName(service)
            contracts.setdefault(address_of(self._options, service), []).append(contract)
        for address, behind in contracts.items():
            self._configure(address, self._config(behind))

    def close_others(self, services: Collection[str]) -> None:
        """Closes, after a while, what none of these services is behind."""
        used = {address_of(self._options, service) for service in services} | self._also
        for address in self._open.keys() - used:
            del self._configs[address]
            self._retire(_close_later(self._open.pop(address)))

    def transport(self, service: str) -> Transport:
        """Gives the transport that reaches a service, by its full name. Raises KeyError."""
        return self._open[address_of(self._options, service)].transport

    def files(self) -> "list[CredentialFiles]":
        """Gives what is to be followed, so that the certificates of calls are those of now."""
        return [self._trust.files] if self._trust is not None and self._trust.files else []

    def _renew(self) -> None:
        """Lets calls from now on go over connections with the certificates of now."""
        for each in self._open.values():
            self._retire(each.renew(_RETIRING_SECONDS))

    async def close(self) -> None:
        """Closes every upstream."""
        await asyncio.gather(*(each.close() for each in self._open.values()))

    def _configure(self, address: str, config: ServiceConfig) -> None:
        if address not in self._open:
            link = Link(
                address=address,
                metadata=self._metadata,
                trust=self._trust,
                max_message_bytes=self._options.max_message_bytes,
            )
            self._open[address] = upstream.opened(self._options, link, config)
        elif config != self._configs[address]:
            closing = self._open[address].configure(config, _RETIRING_SECONDS)
            if closing is not None:
                self._retire(closing)
        self._configs[address] = config

    def _config(self, contracts: Iterable[ServiceDescriptor]) -> Mapping[str, Any]:
        # Every call has its own deadline; grpcio's core counts those of a config too short.
        if self._options.access == "policy":
            return service_config(contracts, timeouts=False)
        return _BALANCING

    def _retire(self, closing: Closing) -> None:
        self._beside.add(closing, name="retired upstream")


async def _close_later(unused: Upstream) -> None:
    """Closes an upstream that requests which began before may still want to call."""
    try:
        await asyncio.sleep(_UNUSED_SECONDS)
        await unused.close(_RETIRING_SECONDS)
    except asyncio.CancelledError:
        await unused.close()
        raise


@asynccontextmanager
async def opened(
    options: Options, trust: Trust | None, period: timedelta, also: Collection[str] = ()
) -> AsyncIterator[Upstreams]:
    """Yields upstreams, none open yet, and closes them.

    The files of their certificates are looked at every `period`.
    """
    beside = background.Tasks()
    upstreams = Upstreams(options, trust, beside, also)
    try:
        async with beside, watched_files.following(upstreams.files(), period):
            yield upstreams
    finally:
        await upstreams.close()
