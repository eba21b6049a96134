"""Composes the gateway: the one place where its parts are built.

    request -> telemetry -> health and docs -> CORS -> compression -> RPC by name, or transcoder
        -> upstream

Services in the gateway's own process are upstreams like any other: they listen on loopback with
all that the mesh puts before a servicer, and `--upstream` names the address
(docs/decisions/0034).
"""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from google.api import http_pb2

from gateway import access, clients, cors, routes, rpcs, serving
from gateway.clients import Trust, Upstreams
from gateway.openapi import document
from gateway.pages import Pages
from gateway.settings import NAME, GatewaySettings, Options
from gateway.storefront import app as storefront
from gateway.telemetry import told
from gateway.transcoding import bindings, compression, descriptors, reflection
from gateway.transcoding.bindings import Binding
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors, Method
from gateway.transcoding.errors import StatusError
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse, finished
from gateway.transcoding.router import Router
from gateway.transcoding.secrets import methods_with_secrets
from gateway.transcoding.terms import Terms
from gateway.transcoding.transcoder import Options as TranscoderOptions
from gateway.transcoding.transcoder import Transcoder
from gateway.transcoding.transport import Call
from services.mesh import jwks, logs, metrics, traces
from services.mesh import run as mesh_run
from services.mesh.access_token import Verifier

# What only the mesh may say of a caller.
_DENIED_METADATA: Final = re.compile(r"x-souk-.*")
_KEYS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """What is served."""

    descriptors: Descriptors
    bindings: Sequence[Binding]
    router: Router[Binding]

    def services(self) -> set[str]:
        """Names the services that have a binding."""
        return {binding.method.service for binding in self.bindings}


async def run(options: Options, environment: GatewaySettings) -> int:
    """Does what the command line says. Raises Faults; returns the exit code."""
    trust = clients.read_trust(options)
    contracts = await _load(options, trust)
    if options.command == "routes":
        write = routes.to_json if options.json else routes.to_table
        sys.stdout.write(write(contracts.bindings) + "\n")
        return 0
    if options.command == "openapi":
        sys.stdout.write(json.dumps(_document(contracts), indent=2, ensure_ascii=False) + "\n")
        return 0
    logs.configure(NAME, environment)
    with traces.recording(NAME, environment):
        return await _serve(options, environment, contracts, trust)


async def _load(options: Options, trust: Trust | None) -> Contracts:
    files = descriptors.read_files(options.descriptors)
    if options.reflect is not None:
        async with clients.reflection_channel(options.reflect, trust) as channel:
            files.MergeFrom(await reflection.fetch(channel))
    loaded = descriptors.from_set(files)
    overrides: Mapping[str, http_pb2.HttpRule] = {}
    if options.service_config is not None:
        overrides = bindings.read_service_config(options.service_config)
    read = bindings.read(loaded, overrides)
    return Contracts(descriptors=loaded, bindings=read, router=bindings.route(read))


def _document(contracts: Contracts) -> dict[str, object]:
    return document.write(
        contracts.descriptors,
        contracts.bindings,
        roles_of=partial(access.roles_of, contracts.descriptors),
    )


async def _serve(
    options: Options, environment: GatewaySettings, contracts: Contracts, trust: Trust | None
) -> int:
    terms: Callable[[Method], Terms] = access.open_terms
    services = rpcs.services(options, contracts.descriptors, contracts.services())
    methods = [each for each in contracts.descriptors.methods if each.service in services]
    upstreams = Upstreams(options, contracts.descriptors, trust, services)
    if options.access == "policy":
        policies = access.read_policies(contracts.descriptors, services)
        methods = [each for each in methods if access.is_public(policies, each)]
        access.check_public(policies, [binding.method for binding in contracts.bindings])
        terms = access.terms_by_policy(policies, _verifier(environment, upstreams))
    listening = serving.bind(options.listen)
    async with clients.open_upstreams(upstreams):
        transcoder = Transcoder(
            contracts.descriptors,
            contracts.router,
            contracts.bindings,
            {service: upstreams.transport(service) for service in services},
            TranscoderOptions(
                decoding=options.decoding,
                ignore_unknown_fields=options.ignore_unknown_fields,
                denied_metadata=_DENIED_METADATA,
                terms=terms,
            ),
        )
        checks = {name: partial(upstreams.transport(name).is_ready, name) for name in services}
        pages = Pages(_document(contracts), checks)
        codec = Codec(contracts.descriptors.files)
        secret = methods_with_secrets(methods)
        shared = rpcs.shared(options, codec, _DENIED_METADATA, secret)
        by_name = rpcs.server(methods, shared, upstreams.transport, terms, contracts.router)
        handler = _compressed(by_name.before(transcoder.handle), secret)
        handler = pages.before(cors.allowing(handler, environment.cors_origins))
        handler = told(handler, codec)
        async with _beside(environment, upstreams) as metrics_port:
            await serving.answer_until_signal(
                handler, listening, environment, metrics_port, on_drain=pages.drain
            )
    return 0


@asynccontextmanager
async def _beside(environment: GatewaySettings, upstreams: Upstreams) -> AsyncIterator[int | None]:
    """Runs what is beside HTTP: /metrics, and the storefront if its upstream is ourselves.

    Yields the port of /metrics, unless the storefront serves it.
    """
    if upstreams.address_of.get(storefront.SERVICE) == environment.listen:
        async with mesh_run.serving(storefront.PROCESS, environment):
            yield None
    else:
        async with metrics.listening(environment.metrics_listen) as port:
            yield port


def _verifier(environment: GatewaySettings, upstreams: Upstreams) -> Verifier:
    """Makes what verifies access tokens, by the keys that the mesh's issuer publishes."""
    service = environment.jwks_method.removeprefix("/").partition("/")[0]

    async def ask() -> bytes:
        call = Call(path=environment.jwks_method, timeout_seconds=_KEYS_SECONDS)
        try:
            return (await upstreams.transport(service).unary(call, b"")).message
        except StatusError as error:
            raise jwks.NotAnswered(str(error)) from error

    keys = jwks.KeySet(jwks.remote_keys(ask))
    verifier = Verifier(
        keys.key, issuer=environment.token_issuer, audience=environment.token_audience
    )
    keys.on_withdrawal(verifier.forget)
    return verifier


def _compressed(handler: Handler, secret: Collection[str]) -> Handler:
    def handle(request: HttpRequest) -> Answer:
        def finish(response: HttpResponse) -> None:
            if response.rpc in secret:
                response.headers.append((b"cache-control", b"no-store"))
            else:
                compression.compress(response, request.headers)

        return finished(handler(request), finish)

    return handle
