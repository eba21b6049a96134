"""Writes one route of Kong as an object of the Gateway API, or as an Ingress."""

from collections.abc import Iterator
from typing import Any, Literal

from services.local.derived.kong.edge import Edge
from services.local.derived.kong.plugins import NO_CONTENT, address_limit, plugins_of
from services.local.derived.kong.routes import PAGES, Backend, EdgeRoute
from services.local.derived.kong.text import Line
from souk.mesh.v1.policy_pb2 import RateClass

_GATEWAY = "souk"

Object = dict[str, Any]


def http_or_grpc_route(edge: Edge, route: EdgeRoute) -> Object:
    """Returns the GRPCRoute of a route whose form is grpc, the HTTPRoute of any other."""
    if route.form == "grpc":
        service, _, method = route.rpc.full_name.partition("/")
        rpc = {"type": "Exact", "service": service, "method": method}
        matches: list[Object] = [{"method": rpc}]
        return _gateway_route("GRPCRoute", edge, edge.grpc_host, route, matches)
    headers = [
        {"type": "RegularExpression", "name": name, "value": value}
        for name, value in route.headers.items()
    ]
    path = (
        {"type": "Exact", "value": route.path.literal}
        if route.path.literal
        else {"type": "RegularExpression", "value": route.path.expression}
    )
    matches = [
        {"path": path, **({"headers": headers} if headers else {}), "method": method}
        for method in route.methods
    ]
    return _gateway_route("HTTPRoute", edge, edge.http_host, route, matches)


def ingress(edge: Edge, route: EdgeRoute) -> Object:
    """Returns the Ingress of a route."""
    annotations = _annotations(edge, route) | {
        "konghq.com/methods": ",".join(route.methods),
        "konghq.com/protocols": "grpc,grpcs" if route.form == "grpc" else "http,https",
        "konghq.com/regex-priority": str(route.priority),
        **{f"konghq.com/headers.{name}": f"~*{value}" for name, value in route.headers.items()},
    }
    host = edge.grpc_host if route.form == "grpc" else edge.http_host
    return _ingress(
        _name(route), annotations, host, [f"/~{route.path.expression}"], _backend(route.backend)
    )


def page_objects(edge: Edge, kind: Literal["HTTPRoute", "Ingress"]) -> Iterator[Object]:
    """Yields the routes of the gateway's pages, and of preflights."""
    limit = address_limit(RateClass.RATE_CLASS_READ).name
    for name, methods, paths, plugins in (
        ("pages", ("GET", "HEAD"), edge.pages, limit),
        ("preflight", ("OPTIONS",), ("/",), f"{limit},{NO_CONTENT.name}"),
    ):
        annotations = {"konghq.com/plugins": plugins, "konghq.com/strip-path": "false"}
        if kind == "Ingress":
            annotations["konghq.com/methods"] = ",".join(methods)
            yield _ingress(name, annotations, edge.http_host, list(paths), _backend(PAGES))
        else:
            matches = [
                {"path": {"type": "PathPrefix", "value": path}, "method": method}
                for path in paths
                for method in methods
            ]
            yield _route(
                kind,
                name,
                annotations=annotations,
                host=edge.http_host,
                matches=matches,
                backend=_backend(PAGES),
            )


def _gateway_route(
    kind: str, edge: Edge, host: str, route: EdgeRoute, matches: list[Object]
) -> Object:
    return _route(
        kind,
        _name(route),
        annotations=_annotations(edge, route),
        host=host,
        matches=matches,
        backend=_backend(route.backend),
    )


def _route(
    kind: str,
    name: str,
    *,
    annotations: dict[str, str],
    host: str,
    matches: list[Object],
    backend: Object,
) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "parentRefs": [{"name": _GATEWAY}],
            "hostnames": [host],
            "rules": [{"matches": [Line(each) for each in matches], "backendRefs": [backend]}],
        },
    }


def _ingress(
    name: str, annotations: dict[str, str], host: str, paths: list[str], backend: Object
) -> Object:
    service = {"name": backend["name"], "port": {"number": backend["port"]}}
    rules = [
        Line(path=path, pathType="ImplementationSpecific", backend={"service": service})
        for path in paths
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "ingressClassName": "kong",
            "rules": [{"host": host, "http": {"paths": rules}}],
        },
    }


def _name(route: EdgeRoute) -> str:
    return route.name.replace(".", "-")


def _backend(backend: Backend) -> Object:
    return {"name": f"kong-{backend.name}", "port": backend.port}


def _annotations(edge: Edge, route: EdgeRoute) -> dict[str, str]:
    annotations = {
        "konghq.com/plugins": ",".join(each.name for each in plugins_of(edge, route)),
        "konghq.com/strip-path": "false",
    }
    if route.is_streaming:
        annotations |= {
            "konghq.com/request-buffering": "false",
            "konghq.com/response-buffering": "false",
        }
    return annotations
