"""Builds what answers requests out of contracts, anew for each set of them.

request -> telemetry -> health and docs -> hosts -> CORS -> compression
-> RPC by name, or transcoder -> guard -> upstream
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway import access, clients, cors, edge, rpcs
from gateway.access import Admitting
from gateway.client_address import ClientAddresses, located
from gateway.clients import Upstreams
from gateway.contracts import Contracts
from gateway.guard import guarding
from gateway.openapi import document
from gateway.pages import Pages, ReadinessCheck
from gateway.precedence import Precedence
from gateway.request_metrics import RequestMetrics
from gateway.settings import GatewaySettings, Options
from gateway.telemetry import told
from gateway.transcoding import compression
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Method
from gateway.transcoding.errors import Headers
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse, finished
from gateway.transcoding.secrets import methods_with_secrets
from gateway.transcoding.terms import Terms
from gateway.transcoding.transcoder import Options as TranscoderOptions
from gateway.transcoding.transcoder import Transcoder
from gateway.transcoding.transport import Transport
from services.mesh.concurrency_limit import ConcurrencyLimit
from souk.mesh.v1.policy_pb2 import Priority

# What only the mesh may say of a caller.
_DENIED_METADATA: Final = re.compile(r"x-souk-.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Contracts that can be served, and how."""

    contracts: Contracts
    services: Collection[str]
    """By full name: those with a binding, and those served by name alone."""
    methods: Collection[Method]
    """Those that are served by name."""
    terms: Callable[[Method], Terms]
    priorities: Mapping[str, Priority.ValueType]
    """What is refused first under load, by the paths of methods."""
    private: Collection[str]
    """The full names of methods whose answers are not everybody's."""


def openapi(contracts: Contracts) -> dict[str, object]:
    """Writes the OpenAPI document of contracts."""
    return document.write(
        contracts.descriptors,
        contracts.bindings,
        roles_of=partial(access.roles_of, contracts.descriptors),
    )


class Composition:
    """What handlers are built with, whatever the contracts."""

    def __init__(
        self,
        options: Options,
        environment: GatewaySettings,
        upstreams: Upstreams,
        admitting: Admitting | None,
        pages: Pages,
        *,
        metrics: RequestMetrics,
    ) -> None:
        """`admitting` admits people, as policies ask for it; None enforces no policy."""
        self._options = options
        self._cors_origins = environment.cors_origins
        self._hosts = environment.allowed_hosts
        addresses = ClientAddresses(environment.trusted_proxies, environment.forwarded_field)
        self._address_of = None if admitting is None else addresses.of
        self._limit = ConcurrencyLimit(highest=environment.max_concurrency)
        self._precedence = Precedence()
        self._upstreams = upstreams
        self._admitting = admitting
        self._pages = pages
        self._metrics = metrics

    def plan(self, contracts: Contracts) -> Plan:
        """Decides what is served and for whom. Raises Faults for what cannot be."""
        options = self._options
        terms = access.open_terms(options.deadline_seconds)
        priorities: Mapping[str, Priority.ValueType] = {}
        private: Collection[str] = ()
        services = rpcs.services(options, contracts.descriptors, contracts.services())
        methods = [each for each in contracts.descriptors.methods if each.service in services]
        clients.check_upstreams(options, services)
        clients.tell_strangers(options, contracts.descriptors.services())
        if self._admitting is not None:
            policies = access.read_policies(contracts.descriptors, services)
            methods = [each for each in methods if access.is_public(policies, each)]
            access.check_public(policies, [binding.method for binding in contracts.bindings])
            terms = access.terms_by_policy(policies, self._admitting)
            priorities = {path: policy.priority for path, policy in policies.items()}
            private = access.private(policies, methods)
        return Plan(
            contracts=contracts,
            services=services,
            methods=methods,
            terms=terms,
            priorities=priorities,
            private=private,
        )

    def handler(self, plan: Plan) -> Handler:
        """Builds what answers. The upstreams of the plan's services are open."""
        contracts, options = plan.contracts, self._options
        guard = guarding(self._limit, self._precedence, plan.priorities)

        def transport(service: str) -> Transport:
            return guard(service, self._upstreams.transport(service))

        transcoder = Transcoder(
            contracts.descriptors,
            contracts.router,
            contracts.bindings,
            {service: transport(service) for service in plan.services},
            TranscoderOptions(
                decoding=options.decoding,
                ignore_unknown_fields=options.ignore_unknown_fields,
                denied_metadata=_DENIED_METADATA,
                origins=self._cors_origins,
                terms=plan.terms,
            ),
        )
        codec = Codec(contracts.descriptors.files)
        secret = methods_with_secrets(plan.methods)
        shared = rpcs.shared(options, codec, _DENIED_METADATA, secret)
        by_name = rpcs.server(plan.methods, shared, transport, plan.terms, contracts.router)
        handler = _finished(by_name.before(transcoder.handle), secret, plan.private)
        handler = located(handler, self._address_of)
        handler = cors.allowing(handler, self._cors_origins)
        handler = self._pages.before(edge.serving_hosts(handler, self._hosts, codec))
        return told(handler, codec, self._metrics)

    def document(self, plan: Plan) -> bytes:
        """Writes the OpenAPI document as JSON."""
        return json.dumps(openapi(plan.contracts), ensure_ascii=False).encode()

    def checks(self, plan: Plan) -> Mapping[str, ReadinessCheck]:
        """Gives what tells of each service whether it is ready."""
        transport = self._upstreams.transport
        return {name: partial(transport(name).is_ready, name) for name in plan.services}


def _finished(handler: Handler, secret: Collection[str], private: Collection[str]) -> Handler:
    def handle(request: HttpRequest) -> Answer:
        return finished(handler(request), partial(_finish, request.headers, secret, private))

    return handle


def _finish(
    request_headers: Headers,
    secret: Collection[str],
    private: Collection[str],
    response: HttpResponse,
) -> None:
    """Compresses an answer, unless it holds secrets; has nobody store what is not everybody's."""
    if response.rpc in secret:
        edge.keep_private(response)
        return
    if response.rpc in private:
        edge.keep_private(response)
    compression.compress(response, request_headers)
