"""Kong routes what the contracts name, and takes the RPC that the gateway takes."""

import itertools
import re
from collections import Counter

import pytest

from gateway.transcoding import bindings as transcoding
from gateway.transcoding import descriptors
from gateway.transcoding.bindings import Binding
from gateway.transcoding.router import Match, Router
from services.local import contract
from services.local.contract import Rpc
from services.local.derived.kong.patterns import pattern
from services.local.derived.kong.routes import edge_routes
from souk.mesh.v1.policy_pb2 import Access
from tests.platform.kong import emulated_router
from tests.platform.kong.emulated_router import Request
from tests.platform.kong.files import (
    EDGE_ROUTES,
    PAGES,
    PUBLIC,
    ROUTES,
    kubernetes,
    listening,
    plugins,
)

HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
TAILS = ("/", ":ship", "/x", "/me")


def test_kong_has_the_routes_of_the_contract_and_no_other():
    """Each binding is a route, and a partner's; each RPC is one by name, and one in gRPC."""
    bindings = [(rpc, route) for rpc in PUBLIC for route in rpc.routes]
    expected = {
        "rest": len(bindings),
        "partner": len(bindings),
        "socket": sum(rpc.streams_request or rpc.streams_response for rpc, _ in bindings),
        "web": len(PUBLIC),
        "grpc": len(PUBLIC),
    }
    assert Counter(route.form for route in EDGE_ROUTES.values()) == expected
    assert ROUTES.keys() == EDGE_ROUTES.keys() | PAGES


def test_no_internal_rpc_is_routed():
    """What only services may call cannot be asked for from outside, in any form."""
    internal = [rpc for rpc in contract.rpcs() if rpc.policy.access == Access.ACCESS_INTERNAL]
    assert internal
    for rpc in internal:
        request = Request(
            method="POST",
            path=f"/{rpc.full_name}",
            headers={"content-type": "application/grpc", "x-api-key": "k"},
        )
        for protocol in ("http", "grpc"):
            assert emulated_router.by_attributes(listening(protocol), request) is None


@pytest.fixture(scope="module")
def router() -> Router[Binding]:
    """The gateway's own router, with the contract's bindings."""
    known = descriptors.from_set(descriptors.read_files([contract.DESCRIPTORS]))
    return transcoding.route(transcoding.read(known))


@pytest.fixture(scope="module")
def requests() -> list[tuple[str, str]]:
    """Methods and paths: of every binding, with other bindings' words in its variables."""
    templates = [route.path for rpc in PUBLIC for route in rpc.routes]
    words = {word for path in templates for word in re.findall(r"[A-Za-z0-9.\-]+", path)}
    strange = ("a%3Acancel", "a:%63ancel", "a%2Fb", ":cancel", "a:b:watch", "a:cancel", "")
    paths = {filled(template, value) for template in templates for value in (*words, *strange)}
    paths |= {f"{filled(template, '0198')}{tail}" for template in templates for tail in TAILS}
    return list(itertools.product(HTTP_METHODS, sorted(paths)))


def filled(template: str, value: str) -> str:
    """Returns the template with a value in all of its variables."""
    return re.sub(r"\{[^}]*\}", lambda _: value, template)


def test_the_requests_are_of_all_kinds(router: Router[Binding], requests: list[tuple[str, str]]):
    """The comparisons below mean something: every RPC is asked for, and so is what is none."""
    found = {called(router, method, path) for method, path in requests}

    assert found == {None, *(rpc.full_name for rpc in PUBLIC)}


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "secret"}], ids=["a person", "a partner"])
def test_kong_takes_the_rpc_that_the_gateway_takes(
    router: Router[Binding], requests: list[tuple[str, str]], headers: dict[str, str]
):
    """For any request, the limits and the access are those of the RPC that will be called."""
    routes = list(listening("http"))
    for method, path in requests:
        request = Request(method=method, path=emulated_router.normalized(path), headers=headers)
        name = emulated_router.by_attributes(routes, request)
        assert rpc_of(name) == called(router, method, path), f"{method} {path}: {name}"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "secret"}], ids=["a person", "a partner"])
def test_the_gateway_api_takes_the_same_rpc(
    router: Router[Binding], requests: list[tuple[str, str]], headers: dict[str, str]
):
    """In a cluster, by the order that the Gateway API sets, requests are routed alike."""
    routes = [each for each in kubernetes("gateway-api.yaml") if each["kind"] == "HTTPRoute"]
    by_name = {name.replace(".", "-"): name for name in EDGE_ROUTES}
    for method, path in requests:
        request = Request(method=method, path=emulated_router.normalized(path), headers=headers)
        name = emulated_router.by_gateway_api(routes, request)
        found = rpc_of(by_name.get(name or "", name))
        assert found == called(router, method, path), f"{method} {path}: {name}"


def rpc_of(name: str | None) -> str | None:
    """Returns the RPC of a route, None for no route and for the pages."""
    return EDGE_ROUTES[name].rpc.full_name if name in EDGE_ROUTES else None


def called(router: Router[Binding], method: str, path: str) -> str | None:
    """Returns the RPC that the gateway calls, after Kong has put the path in order."""
    found = router.match(method, emulated_router.normalized(path))
    return found.route.method.path.removeprefix("/") if isinstance(found, Match) else None


def test_a_stream_is_met_as_a_websocket_without_a_token():
    """A browser's token is in the subprotocol, where only the gateway looks; not so elsewhere."""
    headers = {"upgrade": "WebSocket"}
    watch = Request(method="GET", path="/v1/orders/0198:watch", headers=headers)
    read = Request(method="GET", path="/v1/orders/0198", headers=headers)

    assert emulated_router.by_attributes(listening("http"), watch) == "order.watch-order.socket"
    assert emulated_router.by_attributes(listening("http"), read) == "order.get-order"


def test_a_preflight_is_met_and_asks_for_no_token():
    """A page asks before it sends its token."""
    request = Request(method="OPTIONS", path="/v1/orders")
    name = emulated_router.by_attributes(listening("http"), request)

    assert name == "preflight"
    assert "jwt" not in plugins(ROUTES["preflight"][1])


def test_health_is_not_routed():
    """Whether the gateway is well is for whoever runs it."""
    for path in ("/healthz", "/readyz", "/metrics"):
        request = Request(method="GET", path=path)
        assert emulated_router.by_attributes(listening("http"), request) is None


def test_a_new_rpc_has_its_routes():
    """An RPC that the contract gains is routed, limited and guarded without a line written here."""
    new = renamed(next(rpc for rpc in PUBLIC if rpc.name == "CancelOrder"), "ReopenOrder")
    routes = {route.name: route for route in edge_routes([*contract.rpcs(), new])}

    assert routes.keys() - EDGE_ROUTES.keys() == {
        "order.reopen-order",
        "order.reopen-order.partner",
        "order.reopen-order.web",
        "order.reopen-order.grpc",
    }


def renamed(rpc: Rpc, name: str) -> Rpc:
    """Returns the RPC under another name."""
    fields = {field: getattr(rpc, field) for field in rpc.__dataclass_fields__}
    return Rpc(**fields | {"name": name})


def test_a_wildcard_is_translated():
    """Templates may have parts that the shop does not use."""
    assert pattern("/v1/{name=shelves/*}/books/**:find").expression == (
        "/v1/shelves/[^/]+/books(?:/.*)?:find$"
    )
    with pytest.raises(ValueError, match="several ways"):
        pattern("/v1/a+b")
