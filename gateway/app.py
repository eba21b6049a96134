"""Composes the gateway: what lives as long as the process. `composition` builds the rest.

Services in the gateway's own process are upstreams like any other: they listen on loopback with
all that the mesh puts before a servicer, and `--upstream` names the address
(docs/decisions/0034).
"""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from gateway import clients, composition, routes, serving
from gateway.access import Admitting
from gateway.composition import Composition, Plan
from gateway.contracts import Sources
from gateway.pages import Pages
from gateway.reload import Reloader, Served
from gateway.request_metrics import RequestMetrics
from gateway.settings import NAME, GatewaySettings, Options
from gateway.transcoding.transport import Transport
from gateway.trust import Trust, read_trust
from services.mesh import background, logs, traces, watched_files
from services.mesh.address import reaches
from services.mesh.settings import secrets_of

_STOREFRONT: Final = "souk.storefront.v1.StorefrontService"
"""Named here, so that a gateway without it need not import it, nor even have it."""


async def run(options: Options, environment: GatewaySettings) -> int:
    """Does what the command line says. Raises Faults; returns the exit code."""
    trust = read_trust(options)
    sources = Sources(options, trust)
    if options.command == "serve":
        logs.configure(NAME, environment)
        with traces.recording(NAME, environment):
            await _serve(options, environment, sources, trust)
        return 0
    contracts = sources.read(await sources.fetch())
    if options.command == "openapi":
        text = json.dumps(composition.openapi(contracts), indent=2, ensure_ascii=False)
    else:
        text = (routes.to_json if options.json else routes.to_table)(contracts.bindings)
    sys.stdout.write(text + "\n")
    return 0


async def _serve(
    options: Options, environment: GatewaySettings, sources: Sources, trust: Trust | None
) -> None:
    issuer = environment.jwks_method.removeprefix("/").partition("/")[0]
    period = environment.reload_period
    async with (
        watched_files.following(secrets_of(environment), period),
        clients.opened(options, trust, period, also=[issuer]) as upstreams,
        _admitting(options, environment, partial(upstreams.transport, issuer)) as admitting,
    ):
        pages, requests = Pages(), RequestMetrics()
        composed = Composition(options, environment, upstreams, admitting, pages, metrics=requests)
        served = Served(composed, upstreams, pages)
        reloader = Reloader(sources, served, options.reflect_seconds)
        plan = await reloader.first()
        listening = serving.bind(options.listen, is_shared=environment.worker is not None)
        await served.serve(plan)
        has_storefront = _has_storefront(options, environment, plan)
        async with (
            _beside(environment, requests, has_storefront=has_storefront) as metrics_port,
            background.running(reloader.watch(), name="contracts"),
        ):
            await serving.answer_until_signal(
                served.handle, listening, environment, metrics_port, on_drain=pages.drain
            )


def _has_storefront(options: Options, environment: GatewaySettings, plan: Plan) -> bool:
    """Says whether the storefront's upstream is this process."""
    address = clients.address_of(options, _STOREFRONT)
    # Of several processes on one port, one has it.
    is_first = not environment.worker
    is_served = is_first and _STOREFRONT in plan.services
    return is_served and reaches(address, environment.listen)


@asynccontextmanager
async def _beside(
    environment: GatewaySettings, requests: RequestMetrics, *, has_storefront: bool
) -> AsyncIterator[int | None]:
    """Runs what is beside HTTP: /metrics where it is asked for, and the storefront.

    Yields the port of /metrics, unless the storefront serves it.
    """
    if not has_storefront and environment.metrics_listen is None:
        yield None
        return
    # Only now: most gateways serve neither, and with the storefront comes gRPC's own library.
    from services.mesh import certificate_metrics, metrics  # noqa: PLC0415

    metrics.publish(requests.collect)
    certificate_metrics.publish()
    if has_storefront:
        from gateway.storefront import app  # noqa: PLC0415
        from services.mesh import run as mesh_run  # noqa: PLC0415

        async with mesh_run.serving(app.PROCESS, environment):
            yield None
    else:
        async with metrics.listening(environment.metrics_listen) as port:
            yield port


@asynccontextmanager
async def _admitting(
    options: Options, environment: GatewaySettings, issuer: Callable[[], Transport]
) -> AsyncIterator[Admitting | None]:
    """Yields what admits callers, where policies say who they must be and how often they call."""
    if options.access == "open":
        yield None
        return
    # Only now: with it comes what verifies signatures.
    from gateway import admission  # noqa: PLC0415

    async with admission.admitting(environment, issuer) as admitting:
        yield admitting
