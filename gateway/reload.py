"""Serves new contracts when files change or a server reflects others, without dropping a request.

    sources --changed--> read, checked, built aside --without a fault--> served from now on
                                 `----- faulty: told of, and what was served is served on

Requests under way end by the contracts they began with; connections to upstreams stay.
"""

import asyncio
import signal
from collections.abc import Iterable
from typing import Final, NoReturn

import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from prometheus_client import Counter

from gateway.clients import Upstreams
from gateway.composition import Composition, Plan
from gateway.contracts import Contracts, Sources
from gateway.pages import Pages
from gateway.transcoding.descriptors import Faults
from gateway.transcoding.http import Answer, Handler, HttpRequest
from services.mesh import waiting
from services.mesh.policy import ContractError

_POLL_SECONDS: Final = 1.0
_MAX_LISTED: Final = 50

_RELOADS = Counter(
    "gateway_reloads", "Changed contracts, by whether they are served now.", ("result",)
)
_log = structlog.get_logger(__name__)


class Served:
    """The contracts that are served now, and what answers by them."""

    def __init__(self, composition: Composition, upstreams: Upstreams, pages: Pages) -> None:
        """Nothing is served before `serve`."""
        self._composition = composition
        self._upstreams = upstreams
        self._pages = pages
        self._handler: Handler = _not_yet
        self._plan: Plan | None = None

    def handle(self, request: HttpRequest) -> Answer:
        """Answers a request by the contracts of this moment."""
        return self._handler(request)

    def plan(self, contracts: Contracts) -> Plan:
        """Checks whether contracts can be served. Raises Faults."""
        try:
            return self._composition.plan(contracts)
        except ContractError as error:
            raise Faults(error.faults) from None

    async def serve(self, plan: Plan) -> None:
        """Serves by a plan from now on; what takes long is done beside the requests."""
        self._upstreams.serve(plan.contracts.descriptors, plan.services)
        try:
            handler = await asyncio.to_thread(self._composition.handler, plan)
            document = await asyncio.to_thread(self._composition.document, plan)
        except Exception:
            if self._plan is not None:
                self._upstreams.serve(self._plan.contracts.descriptors, self._plan.services)
            raise
        # From here on nothing waits: a request sees all of one plan, or all of the other.
        self._pages.show(document, self._composition.checks(plan))
        self._handler, self._plan = handler, plan
        self._upstreams.close_others(plan.services)

    @property
    def routes(self) -> frozenset[str]:
        """Every route that is served: `shop.v1.Orders.GetOrder: GET /v1/orders/{order_id}`."""
        bindings = self._plan.contracts.bindings if self._plan is not None else ()
        return frozenset(str(binding) for binding in bindings)


def _not_yet(_: HttpRequest) -> NoReturn:
    raise AssertionError("the gateway answers nothing before it serves")


class Reloader:
    """Looks for changes: of files each second, of a server now and then, of all at SIGHUP."""

    def __init__(self, sources: Sources, served: Served, reflect_seconds: float) -> None:
        """0 `reflect_seconds` means never."""
        self._sources = sources
        self._served = served
        self._reflect_seconds = reflect_seconds
        self._stamps = sources.stamps()
        self._fetched = FileDescriptorSet()
        self._faults: tuple[str, ...] = ()
        self._hangup = asyncio.Event()

    async def first(self) -> Plan:
        """Reads what is served first. Raises Faults."""
        self._fetched = await self._sources.fetch()
        return self._served.plan(await asyncio.to_thread(self._sources.read, self._fetched))

    async def watch(self) -> None:
        """Serves what has changed, until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        asked_at = loop.time()
        last = self._stamps
        try:
            while True:
                is_told = await self._is_told()
                is_due = 0 < self._reflect_seconds <= loop.time() - asked_at
                fetched = self._fetched
                if is_told or is_due:
                    asked_at = loop.time()
                    fetched = await self._fetch()
                last, stamps = self._sources.stamps(), last
                # What is being written changes again: it is read when it has been left alone.
                is_written = last == stamps and last != self._stamps
                if is_told or is_written or fetched != self._fetched:
                    self._stamps, self._fetched = last, fetched
                    await self._reload()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _is_told(self) -> bool:
        """Waits for the next look, or until somebody sends SIGHUP."""
        is_told = await waiting.set_within(self._hangup, _POLL_SECONDS)
        self._hangup.clear()
        return is_told

    async def _fetch(self) -> FileDescriptorSet:
        """Asks the server; what it said before is what counts while it cannot be asked."""
        try:
            fetched = await self._sources.fetch()
        except Faults as error:
            self._refuse(error.faults)
            return self._fetched
        return fetched

    async def _reload(self) -> None:
        before = self._served.routes
        try:
            contracts = await asyncio.to_thread(self._sources.read, self._fetched)
            await self._served.serve(self._served.plan(contracts))
        except Faults as error:
            self._refuse(error.faults)
            return
        except Exception as error:  # noqa: BLE001  # what was served must be served on
            _log.exception("contracts not built")
            self._refuse((repr(error),))
            return
        self._faults = ()
        _RELOADS.labels("applied").inc()
        after = self._served.routes
        _log.info("contracts reloaded", added=_some(after - before), removed=_some(before - after))

    def _refuse(self, faults: tuple[str, ...]) -> None:
        _RELOADS.labels("refused").inc()
        if faults != self._faults:
            self._faults = faults
            _log.error("contracts refused, those of before are served on", faults=list(faults))


def _some(routes: Iterable[str]) -> list[str]:
    """Gives what a log line can hold of the routes, and how many more there are."""
    listed = sorted(routes)
    rest = len(listed) - _MAX_LISTED
    return listed if rest <= 0 else [*listed[:_MAX_LISTED], f"and {rest} more"]
