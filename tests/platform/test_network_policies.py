"""Who may talk to whom is what the contracts say."""

from typing import Any

import pytest

from services.local import contract, topology
from souk.mesh.v1 import policy_pb2
from tests.platform.charts import LAYERS, PRODUCTION, Charts, layer_of
from tests.platform.objects import Objects

SERVICES = tuple(service.name for service in topology.SERVICES)
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"


def edges() -> set[tuple[str, str]]:
    """Returns (caller, callee) for each that the contracts allow."""
    found = set()
    for rpc in contract.rpcs():
        callee = rpc.service.split(".")[1]
        found |= {(caller, callee) for caller in rpc.policy.callers}
        if callee in SERVICES and rpc.policy.access != policy_pb2.ACCESS_INTERNAL:
            found.add(("gateway", callee))
    return found


def policy(charts: Charts, chart: str, name: str) -> dict[str, Any]:
    """Returns the spec of a service's own policy."""
    objects = Objects(charts.objects(layer_of(chart, name)))
    spec: dict[str, Any] = objects.one("NetworkPolicy", chart)["spec"]
    return spec


def peers(rules: list[dict[str, Any]], side: str, port: object) -> set[str]:
    """Returns the services among the peers of a port."""
    return {
        peer["podSelector"]["matchLabels"][NAME]
        for rule in rules
        if port in [each["port"] for each in rule["ports"]]
        for peer in rule[side]
        if peer.get("podSelector", {}).get("matchLabels", {}).get(COMPONENT) == "service"
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_the_edges_are_those_of_the_contracts(charts, layer):
    """Every edge is open on both of its ends, and no other is."""
    callees = SERVICES
    callers = (*SERVICES, "gateway")
    incoming = {
        (caller, callee)
        for callee in callees
        for caller in peers(policy(charts, callee, layer)["ingress"], "from", "grpc")
    }
    outgoing = {
        (caller, callee)
        for caller in callers
        for callee in peers(policy(charts, caller, layer)["egress"], "to", "grpc")
    }
    assert (edges(), edges()) == (incoming, outgoing)


@pytest.mark.parametrize("chart", [*SERVICES, "gateway", "sandbox"])
def test_nothing_else_is_open(charts, chart):
    """Both directions are denied but for rules that name their peers and their ports."""
    spec = policy(charts, chart, PRODUCTION)
    assert ["Ingress", "Egress"] == spec["policyTypes"]
    assert all(rule.get("from") and rule.get("ports") for rule in spec["ingress"])
    assert all(rule.get("to") and rule.get("ports") for rule in spec["egress"])
    selectors = [
        selector
        for rule in (*spec["ingress"], *spec["egress"])
        for peer in (*rule.get("from", ()), *rule.get("to", ()))
        for selector in (peer.get("podSelector"), peer.get("namespaceSelector"))
        if selector is not None
    ]
    assert all(selector.get("matchLabels") for selector in selectors)


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda service: service.name)
def test_a_service_reaches_its_stores_and_no_other(charts, service):
    """The ports of stores that are open are those of the topology."""
    ports = {"postgres": 5432, "redis": 6379, "mongo": 27017}
    rules = policy(charts, service.name, PRODUCTION)["egress"]
    open_ports = {each["port"] for rule in rules for each in rule["ports"]}
    assert {ports[store] for store in service.stores} == open_ports & set(ports.values())


def test_the_edges_lead_to_ports_that_pods_have(charts):
    """A port that is named in a rule is a port of the pods that the rule is about."""
    for chart in (*SERVICES, "gateway", "sandbox"):
        objects = Objects(charts.objects(layer_of(chart, PRODUCTION)))
        ports = {port["name"] for port in objects.container["ports"]}
        rules = objects.one("NetworkPolicy", chart)["spec"]["ingress"]
        named = {each["port"] for rule in rules for each in rule["ports"]}
        assert set() == named - ports, chart


def test_only_people_facing_services_are_open_to_kong(charts):
    """Kong reaches the gateway and, for native gRPC, services with RPCs for people."""
    expected = {callee for caller, callee in edges() if caller == "gateway"} | {"gateway"}
    kong = {
        chart
        for chart in (*SERVICES, "gateway")
        for rule in policy(charts, chart, PRODUCTION)["ingress"]
        for peer in rule["from"]
        if "kong" in peer.get("namespaceSelector", {}).get("matchLabels", {}).values()
    }
    assert expected == kong
