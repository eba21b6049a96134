"""Writes `kong/kong.yaml`: all of Kong's configuration, for a Kong without a database."""

from collections.abc import Iterable, Iterator
from typing import Any

from services.local.derived.deriver import HEADER
from services.local.derived.kong.edge import Edge
from services.local.derived.kong.plugins import (
    NO_CONTENT,
    PARTNERS,
    PEOPLE,
    Plugin,
    address_limit,
    plugins_of,
)
from services.local.derived.kong.routes import PAGES, Backend, EdgeRoute
from services.local.derived.kong.text import Line, document
from souk.mesh.v1.policy_pb2 import RateClass

_REDIS_PASSWORD = "{vault://env/souk-redis-password}"  # noqa: S105 - where it is, not what it is
_MILLISECONDS = 1000
_CONNECT_SECONDS = 2


def render(edge: Edge, routes: list[EdgeRoute]) -> str:
    """Returns the text of the file."""
    content = {
        "_format_version": "3.0",
        "consumers": [{"username": PEOPLE}],
        "consumer_groups": [{"name": PARTNERS}],
        "plugins": list(edge.plugins),
        "services": [
            _service(PAGES, list(_page_routes(edge))),
            *(
                _service(
                    backend, [_route(edge, each) for each in routes if each.backend == backend]
                )
                for backend in sorted({route.backend for route in routes})
            ),
        ],
    }
    return f"# {HEADER}\n# What no contract says stands in edge.yaml.\n{document(content)}"


def _service(backend: Backend, routes: list[dict[str, Any]]) -> dict[str, Any]:
    patience = int(backend.timeout_seconds * _MILLISECONDS)
    return {
        "name": backend.name,
        "protocol": backend.protocol,
        "host": backend.app,
        "port": backend.port,
        "retries": backend.retries,
        "connect_timeout": _CONNECT_SECONDS * _MILLISECONDS,
        "read_timeout": patience,
        "write_timeout": patience,
        "routes": routes,
    }


def _route(edge: Edge, route: EdgeRoute) -> dict[str, Any]:
    return {
        "name": route.name,
        "protocols": ["grpc", "grpcs"] if route.form == "grpc" else ["http", "https"],
        "methods": list(route.methods),
        "paths": [f"~{route.path.expression}"],
        **_headers(route),
        "regex_priority": route.priority,
        "strip_path": False,
        **_buffering(route),
        "plugins": _plugins(edge, plugins_of(edge, route)),
    }


def _headers(route: EdgeRoute) -> dict[str, Any]:
    if not route.headers:
        return {}
    return {"headers": {name: [f"~*{value}"] for name, value in route.headers.items()}}


def _buffering(route: EdgeRoute) -> dict[str, bool]:
    if not route.is_streaming:
        return {}
    return {"request_buffering": False, "response_buffering": False}


def _page_routes(edge: Edge) -> Iterator[dict[str, Any]]:
    read = list(_plugins(edge, [address_limit(RateClass.RATE_CLASS_READ)]))
    yield {
        "name": "pages",
        "protocols": ["http", "https"],
        "methods": ["GET", "HEAD"],
        "paths": list(edge.pages),
        "strip_path": False,
        "plugins": read,
    }
    # `cors` answers a preflight before anything is asked; it needs a route to be met on.
    yield {
        "name": "preflight",
        "protocols": ["http", "https"],
        "methods": ["OPTIONS"],
        "paths": ["/"],
        "strip_path": False,
        "plugins": [*read, *_plugins(edge, [NO_CONTENT])],
    }


def _plugins(edge: Edge, plugins: Iterable[Plugin]) -> list[dict[str, Any]]:
    redis = {"host": edge.redis, "password": _REDIS_PASSWORD}
    return [
        Line(
            name=each.plugin,
            config=each.config | ({"redis": redis} if each.counts else {}),
        )
        for each in plugins
    ]
