"""Writes `kong/kubernetes/derived`: the same routes for Kong's ingress controller.

| file             | what                                                                     |
|------------------|--------------------------------------------------------------------------|
| plugins.yaml     | KongClusterPlugins of `edge.yaml`, a KongPlugin for each kind of limit   |
| services.yaml    | a Service for each retry and timeout, and how Kong judges its pods       |
| gateway-api.yaml | HTTPRoutes and GRPCRoutes, for a Kong with the `expressions` router      |
| ingress.yaml     | the same as Ingresses, for `traditional_compatible`; apply one of the two |
"""

from collections.abc import Iterable, Iterator
from typing import Any

from services.local.derived.charts import store_address
from services.local.derived.deriver import HEADER
from services.local.derived.kong.edge import Edge
from services.local.derived.kong.kubernetes_routes import http_or_grpc_route, ingress, page_objects
from services.local.derived.kong.plugins import NO_CONTENT, Plugin, plugins_of
from services.local.derived.kong.routes import PAGES, Backend, EdgeRoute
from services.local.derived.kong.text import document

_PLUGIN_ANNOTATIONS = {
    "kubernetes.io/ingress.class": "kong",
    # Argo CD applies them before the routes that name them.
    "argocd.argoproj.io/sync-wave": "-1",
}
_REDIS_SECRET = "kong-redis"  # noqa: S105 - its name
_MILLISECONDS = 1000


def render(edge: Edge, routes: list[EdgeRoute]) -> dict[str, str]:
    """Returns the files by name."""
    backends = sorted({PAGES, *(route.backend for route in routes)})
    return {
        "plugins.yaml": _file([*_global_plugins(edge), *_plugins(edge, routes)]),
        "services.yaml": _file([*_policies(), *map(_service, backends)]),
        "gateway-api.yaml": _file(
            [*page_objects(edge, "HTTPRoute"), *(http_or_grpc_route(edge, each) for each in routes)]
        ),
        "ingress.yaml": _file(
            [*page_objects(edge, "Ingress"), *(ingress(edge, each) for each in routes)]
        ),
    }


def _file(objects: Iterable[dict[str, Any]]) -> str:
    return f"# {HEADER}\n" + "---\n".join(map(document, objects))


def _global_plugins(edge: Edge) -> Iterator[dict[str, Any]]:
    for each in edge.plugins:
        yield {
            "apiVersion": "configuration.konghq.com/v1",
            "kind": "KongClusterPlugin",
            "metadata": {
                "name": f"souk-{each['name']}",
                "labels": {"global": "true"},
                "annotations": _PLUGIN_ANNOTATIONS,
            },
            "plugin": each["name"],
            **({"protocols": each["protocols"]} if "protocols" in each else {}),
            "config": each["config"],
        }


def _plugins(edge: Edge, routes: list[EdgeRoute]) -> list[dict[str, Any]]:
    found = {each.name: each for route in routes for each in plugins_of(edge, route)}
    found[NO_CONTENT.name] = NO_CONTENT
    return [_plugin(found[name]) for name in sorted(found)]


def _plugin(plugin: Plugin) -> dict[str, Any]:
    content: dict[str, Any] = {
        "apiVersion": "configuration.konghq.com/v1",
        "kind": "KongPlugin",
        "metadata": {"name": plugin.name, "annotations": _PLUGIN_ANNOTATIONS},
        "plugin": plugin.plugin,
        "config": plugin.config,
    }
    if plugin.counts:
        content["config"] = plugin.config | {"redis": _redis()}
        content["configPatches"] = [
            {
                "path": f"/redis/{key}",
                "valueFrom": {"secretKeyRef": {"name": _REDIS_SECRET, "key": key}},
            }
            for key in ("username", "password")
        ]
    return content


def _redis() -> dict[str, Any]:
    """Returns where the services' Redis is, which is asked over TLS and must be the one meant."""
    host, port = store_address("redis")
    return {"host": host, "port": port, "ssl": True, "ssl_verify": True, "server_name": host}


def _service(backend: Backend) -> dict[str, Any]:
    patience = str(int(backend.timeout_seconds * _MILLISECONDS))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"kong-{backend.name}",
            "annotations": {
                "konghq.com/protocol": backend.protocol,
                "konghq.com/retries": str(backend.retries),
                "konghq.com/connect-timeout": "2000",
                "konghq.com/read-timeout": patience,
                "konghq.com/write-timeout": patience,
                "konghq.com/upstream-policy": f"souk-{backend.protocol}",
            },
        },
        "spec": {
            "selector": {
                "app.kubernetes.io/name": backend.app,
                "app.kubernetes.io/component": "service",
            },
            "ports": [{"name": backend.protocol, "port": backend.port, "targetPort": backend.port}],
        },
    }


def _policies() -> Iterator[dict[str, Any]]:
    """Yields how Kong spreads calls over pods, and when it leaves one alone."""
    yield _policy(
        "souk-http",
        {
            "type": "http",
            "httpPath": "/readyz",
            "healthy": {"interval": 5, "successes": 1},
            "unhealthy": {"interval": 5, "httpFailures": 2, "tcpFailures": 2, "timeouts": 2},
        },
    )
    # gRPC's health would take a client certificate of the prober, which Kong does not show there.
    yield _policy("souk-grpcs", None)


def _policy(name: str, active: dict[str, Any] | None) -> dict[str, Any]:
    passive = {"type": "http" if active else "tcp", "unhealthy": {"tcpFailures": 3, "timeouts": 3}}
    return {
        "apiVersion": "configuration.konghq.com/v1beta1",
        "kind": "KongUpstreamPolicy",
        "metadata": {"name": name},
        "spec": {
            "algorithm": "least-connections" if active else "round-robin",
            "healthchecks": {**({"active": active} if active else {}), "passive": passive},
        },
    }
