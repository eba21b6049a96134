"""Kong's files, and what they were derived from, for the tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from services.local import contract
from services.local.derived.kong.routes import edge_routes
from souk.mesh.v1.policy_pb2 import Access

KONG = Path(__file__).parents[3] / "kong"
PAGES = {"pages", "preflight"}

CONFIG: dict[str, Any] = yaml.safe_load((KONG / "kong.yaml").read_text(encoding="utf-8"))
ROUTES = {
    route["name"]: (service, route) for service in CONFIG["services"] for route in service["routes"]
}
"""Each route of kong.yaml by name, with its service."""

EDGE_ROUTES = {route.name: route for route in edge_routes()}
PUBLIC = [rpc for rpc in contract.rpcs() if rpc.policy.access != Access.ACCESS_INTERNAL]


def kubernetes(name: str) -> list[dict[str, Any]]:
    """Returns the objects of a file, derived or written by hand."""
    found = next((KONG / "kubernetes").rglob(name))
    return list(yaml.load_all(found.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def environment() -> dict[str, str]:
    """Returns the settings of kong.env."""
    lines = (KONG / "kong.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def plugins(route: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the configurations of a route's own plugins by name."""
    return {each["name"]: each["config"] for each in route["plugins"]}


def listening(protocol: str) -> Iterator[dict[str, Any]]:
    """Yields the routes that take a protocol; a client of gRPC asks for gRPC's."""
    return (route for _, route in ROUTES.values() if protocol in route["protocols"])
