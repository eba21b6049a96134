"""Each service of the topology has what its name stands for elsewhere in the code."""

import tomllib
from pathlib import Path

from services.local import contract, topology

ROOT = Path(__file__).parents[3]


def test_every_service_has_a_folder_a_contract_and_layers() -> None:
    """What is missing is named; the layers are those that import-linter checks."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layered = {name for each in contracts for name in each.get("containers", ())}
    missing = [
        message
        for name in (service.name for service in topology.SERVICES)
        for message, is_there in (
            (f"services/{name}/app.py", (ROOT / "services" / name / "app.py").exists()),
            (f"a gRPC service in proto/souk/{name}", bool(contract.grpc_services(name))),
            (f"pyproject.toml: layers of services.{name}", f"services.{name}" in layered),
        )
        if not is_there
    ]
    assert [] == missing


def test_every_contract_has_a_service() -> None:
    """What the contracts offer is served by a process of the topology, or by the gateway's own."""
    served = {service.name for service in topology.SERVICES}
    areas = {rpc.service.split(".")[1] for rpc in contract.rpcs()}
    assert areas - served <= {"storefront"}


def test_no_two_have_the_same_port() -> None:
    """All of them run on one machine."""
    ports = list(topology.DEFAULT_PORTS.values())
    assert sorted(set(ports)) == sorted(ports)
