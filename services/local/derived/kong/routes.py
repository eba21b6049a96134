"""What Kong routes: each RPC that is not internal, in every form in which it is called.

rest      POST /v1/orders                              the binding, to the gateway
partner   … with `x-api-key`                           the same, for a partner's own limits
socket    GET … with `upgrade: websocket`              a stream as a WebSocket, to the gateway
web       POST /souk.order.v1.OrderService/CreateOrder Connect and gRPC-Web, to the gateway
grpc      … with `application/grpc`                    gRPC itself, to the service
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from google.protobuf.descriptor_pb2 import MethodOptions

from services.local import contract
from services.local.contract import Route, Rpc
from services.local.derived.kong.patterns import Pattern, pattern, ranks
from services.local.topology import DEFAULT_PORTS
from services.mesh.settings import GRPC_PORT
from souk.mesh.v1.policy_pb2 import Access

Form = Literal["rest", "partner", "socket", "web", "grpc"]

API_KEY: Final = "x-api-key"
ANY_VALUE: Final = "^.+$"
# Connect's and gRPC-Web's; the same path with `application/grpc` is gRPC itself.
_WEB_TYPES: Final = (
    r"^application/(?:proto|json|connect\+(?:proto|json)"
    r"|grpc-web(?:-text)?(?:\+(?:proto|json))?)(?:;.*)?$"
)

# One more than the deadline, so that whoever has the deadline tells of it.
_SLACK_SECONDS: Final = 1
_STREAM_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Backend:
    """Whom Kong asks, and how patiently: a Service of Kong, which has the retries and timeouts."""

    name: str
    app: str
    """The process that answers."""
    port: int
    protocol: Literal["http", "grpcs"]
    retries: int
    timeout_seconds: float


PAGES: Final = Backend(
    name="gateway-pages",
    app="gateway",
    port=DEFAULT_PORTS["gateway"],
    protocol="http",
    retries=1,
    timeout_seconds=10,
)
"""What the gateway answers by itself: its documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRoute:
    """One route of Kong."""

    name: str
    form: Form
    rpc: Rpc
    methods: tuple[str, ...]
    path: Pattern
    priority: int
    backend: Backend
    headers: dict[str, str] = field(default_factory=dict)
    """Regular expressions that header fields must match, by name."""

    @property
    def is_streaming(self) -> bool:
        """Whether Kong must pass on what comes as it comes."""
        return self.rpc.streams_request or self.rpc.streams_response


def edge_routes(rpcs: Sequence[Rpc] | None = None) -> list[EdgeRoute]:
    """Returns every route, of the contract or of `rpcs`, in the order of the contract."""
    public = [
        rpc
        for rpc in (contract.rpcs() if rpcs is None else rpcs)
        if rpc.policy.access != Access.ACCESS_INTERNAL
    ]
    rank = ranks(pattern(route.path) for rpc in public for route in rpc.routes)
    by_name = len(rank) + 1
    found: list[EdgeRoute] = []
    for rpc in public:
        for place, route in enumerate(rpc.routes):
            path = pattern(route.path)
            name = _name(rpc) + (f".{place + 1}" if place else "")
            found.extend(_of_binding(rpc, route, name, path, rank[path.key]))
        found.extend(_by_name(rpc, by_name))
    return found


def _of_binding(rpc: Rpc, route: Route, name: str, path: Pattern, rank: int) -> Iterator[EdgeRoute]:
    # HEAD is GET without the content (RFC 9110 section 9.3.2).
    methods = ("GET", "HEAD") if route.http_method == "GET" else (route.http_method,)
    backend = _gateway(rpc)
    yield EdgeRoute(
        name=name,
        form="rest",
        rpc=rpc,
        methods=methods,
        path=path,
        priority=2 * rank,
        backend=backend,
    )
    yield EdgeRoute(
        name=f"{name}.partner",
        form="partner",
        rpc=rpc,
        methods=methods,
        path=path,
        # A partner's WebSocket is a partner's first.
        priority=2 * rank + 1,
        backend=backend,
        headers={API_KEY: ANY_VALUE},
    )
    if rpc.streams_request or rpc.streams_response:
        yield EdgeRoute(
            name=f"{name}.socket",
            form="socket",
            rpc=rpc,
            methods=("GET",),
            path=path,
            priority=2 * rank,
            backend=backend,
            headers={"upgrade": "(?i)^websocket$"},
        )


def _by_name(rpc: Rpc, rank: int) -> Iterator[EdgeRoute]:
    literal = f"/{rpc.full_name}"
    path = Pattern(expression=f"{re.escape(literal)}$", literal=literal, key=(False, ()))
    yield EdgeRoute(
        name=f"{_name(rpc)}.web",
        form="web",
        rpc=rpc,
        methods=("POST",),
        path=path,
        priority=2 * rank,
        backend=_gateway(rpc),
        headers={"content-type": _WEB_TYPES},
    )
    yield EdgeRoute(
        name=f"{_name(rpc)}.grpc",
        form="grpc",
        rpc=rpc,
        methods=("POST",),
        path=path,
        priority=2 * rank,
        backend=_service(rpc),
    )


def _name(rpc: Rpc) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", rpc.name).lower()
    return f"{rpc.area}.{words}"


def _gateway(rpc: Rpc) -> Backend:
    kind, retries = _kind(rpc)
    seconds = rpc.policy.deadline.ToTimedelta().total_seconds()
    return Backend(
        name="gateway-stream" if kind == "stream" else f"gateway-{kind}-{seconds:g}s",
        app="gateway",
        port=DEFAULT_PORTS["gateway"],
        protocol="http",
        retries=retries,
        timeout_seconds=_STREAM_SECONDS if kind == "stream" else seconds + _SLACK_SECONDS,
    )


def _service(rpc: Rpc) -> Backend:
    service = rpc.area
    kind, retries = _kind(rpc)
    # A client of gRPC brings its deadline, and the service has the RPC's own: one for all will do.
    seconds = max(
        each.policy.deadline.ToTimedelta().total_seconds()
        for each in contract.rpcs()
        if each.area == service
    )
    is_storefront = service == "storefront"
    return Backend(
        name=f"{service}-{kind}",
        app="gateway" if is_storefront else service,
        port=DEFAULT_PORTS["storefront"] if is_storefront else GRPC_PORT,
        protocol="grpcs",
        retries=retries,
        timeout_seconds=_STREAM_SECONDS if kind == "stream" else seconds + _SLACK_SECONDS,
    )


def _kind(rpc: Rpc) -> tuple[str, int]:
    """Returns what kind of call it is, and whether it may be tried a second time."""
    if rpc.streams_request or rpc.streams_response:
        return "stream", 0
    level = rpc.options.idempotency_level
    if level == MethodOptions.NO_SIDE_EFFECTS:
        return "read", 1
    if level == MethodOptions.IDEMPOTENT:
        return "idempotent", 1
    return "write", 0
