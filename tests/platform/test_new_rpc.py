"""One RPC more in a contract is all that has to be written, beside its handler.

In a copy of the repository an RPC is added to a `.proto` and `souk gen` is run; then everything
that has to know of the RPC does.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.platform.scratch_copy import changed, copied, path_of, python, run

CONTRACT = "proto/souk/product/v1/product_service.proto"

RPC = """
  // Counts the products that can be bought.
  rpc CountProducts(CountProductsRequest) returns (CountProductsResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/products:count"};
    option (souk.mesh.v1.policy) = {
      access: ACCESS_USER
      callers: ["payment"]
      deadline: {seconds: 1}
      rate: RATE_CLASS_READ
      objective: {
        availability_percent: 99.5
        latency: {nanos: 100000000}
      }
    };
  }
}
"""
MESSAGES = """
// What to count.
message CountProductsRequest {}

// How many there are.
message CountProductsResponse {
  // Counts the products that can be bought.
  int32 count = 1;
}
"""

WRITTEN_BY_HAND = {CONTRACT}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy of the repository, under a git of its own, with one RPC more in a contract."""
    copy = copied(tmp_path_factory.mktemp("repository"))
    path = copy / CONTRACT
    path.write_text(with_rpc(path.read_text(encoding="utf-8")), encoding="utf-8")
    python(copy, "services.local.gen")
    return copy


def with_rpc(contract: str) -> str:
    """Adds the RPC to the first service of the file, and its messages to the end."""
    service = contract.index("service ProductService {")
    end = contract.index("\n}\n", service)
    return contract[:end] + RPC + contract[end + len("\n}\n") :] + MESSAGES


def load(path: Path) -> Any:
    """Reads a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_nothing_else_is_written_by_hand(repository):
    """All that changed but the contract is derived, and fresh."""
    derived = changed(repository) - WRITTEN_BY_HAND
    allowed = re.compile(
        r"proto/gen/.+|kong/.+|charts/.+/derived/.+|charts/.+/rules/objectives\.yaml"
        r"|charts/monitoring/dashboards/.+|charts/.+/values\.schema\.json|docs/access-matrix\.md"
    )
    assert [path for path in derived if not allowed.fullmatch(path)] == []
    python(repository, "services.local.gen", "--check")


def test_it_has_a_rest_route_and_a_page(repository):
    """The gateway routes it, and OpenAPI describes it with its security."""
    descriptors = ("--descriptors", "proto/gen/souk.binpb")
    routes = python(repository, "gateway", "routes", *descriptors)
    assert "/v1/products:count" in routes
    document = json.loads(python(repository, "gateway", "openapi", *descriptors))
    assert document["paths"]["/v1/products:count"]["get"]["security"]


def test_kong_has_its_route_with_its_plugins(repository):
    """By the contract's access and rate: a token, and so many calls a minute of an address."""
    services = load(repository / "kong/kong.yaml")["services"]
    routes = [
        route
        for service in services
        for route in service["routes"]
        if any("products:count" in path for path in route.get("paths", ()))
    ]
    assert routes
    plugins = {plugin["name"]: plugin.get("config", {}) for plugin in routes[0]["plugins"]}
    assert "jwt" in plugins
    assert plugins["rate-limiting"]["minute"] == 1200


def test_the_network_lets_its_caller_through(repository):
    """The policy's callers are edges of the network policies, on both ends."""
    assert "payment" in load(repository / "charts/product/derived/mesh.yaml")["callers"]
    assert "product" in load(repository / "charts/payment/derived/mesh.yaml")["callees"]


def test_its_promise_is_watched(repository):
    """Its objective is a budget to compare with."""
    text = (repository / "charts/product/rules/objectives.yaml").read_text(encoding="utf-8")
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    mine = [rule for rule in rules if rule["labels"]["grpc_method"] == "CountProducts"]
    assert [rule["record"] for rule in mine] == [
        "souk:rpc_error_budget:ratio",
        "souk:rpc_slow:rate5m",
    ]
    assert mine[0]["expr"] == "vector(0.005)"


def test_who_may_call_it_is_tested_and_told(repository):
    """The access tests have its cells, and the table of the documentation its row."""
    assert "CountProducts" in (repository / "docs/access-matrix.md").read_text(encoding="utf-8")
    names = "from tests.contract import contracts; print(*contracts.RPCS)"
    told = run(repository, sys.executable, "-c", names, environment=path_of(repository))
    assert "ProductService.CountProducts" in told.split()
