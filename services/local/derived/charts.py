"""What the Helm charts repeat of the contracts and of the settings.

    charts/<service>/derived/mesh.yaml    who calls whom, stores, the gateway's upstreams
    charts/<chart>/values.schema.json     charts/service-lib/schema.json, and the settings

Network policies and the values that Helm accepts come from them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.local import contract, topology
from services.local.derived import settings_schema
from services.local.derived.deriver import HEADER, Deriver
from services.mesh.settings import GRPC_PORT
from souk.mesh.v1 import policy_pb2

_OF_SERVICES = (*(service.name for service in topology.SERVICES), "gateway", "sandbox")
_CHARTS = Path(__file__).parents[3] / "charts"
_GATEWAY = "gateway"


def files() -> Mapping[str, str]:
    """Returns the charts' derived files by path."""
    services = [service.name for service in topology.SERVICES]
    return {
        **{f"charts/{name}/derived/mesh.yaml": _yaml(mesh(name)) for name in (*services, _GATEWAY)},
        **{f"charts/{name}/values.schema.json": _json(schema(name)) for name in _OF_SERVICES},
    }


def mesh(name: str) -> dict[str, Any]:
    """Returns whom the service `name` calls, who calls it, and where it stores.

    `facesPeople`: it has an RPC that people may call, through the gateway or through Kong.
    """
    people = [service.name for service in topology.SERVICES if _faces_people(service.name)]
    if name == _GATEWAY:
        callees = sorted({*people, *contract.callees(_GATEWAY)})
        upstreams = {
            service: f"{callee}:{GRPC_PORT}"
            for callee in callees
            for service in contract.grpc_services(callee)
        }
        return {
            "callers": [],
            "facesPeople": True,
            "callees": callees,
            "stores": ["redis"],  # where its processes share what callers have called
            "upstreams": upstreams | _storefront(),
        }
    callers = {caller for rpc in _rpcs(name) for caller in rpc.policy.callers}
    stores = next(service.stores for service in topology.SERVICES if service.name == name)
    return {
        "callers": sorted(callers | ({_GATEWAY} if name in people else set())),
        "facesPeople": name in people,
        "callees": contract.callees(name),
        "stores": sorted(stores),
    }


def _storefront() -> dict[str, str]:
    """Returns the upstream that is in the gateway's own process."""
    address = f"localhost:{topology.DEFAULT_PORTS['storefront']}"
    return dict.fromkeys(contract.grpc_services("storefront"), address)


def schema(name: str) -> dict[str, Any]:
    """Returns the schema of the values of a chart: the library's, with the service's settings."""
    text = (_CHARTS / "service-lib" / "schema.json").read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(text)
    fields = settings_schema.fields(name)
    result["$comment"] = HEADER
    result["properties"]["settings"] = settings_schema.values(fields.own)
    result["properties"]["meshSettings"] = settings_schema.values(fields.mesh)
    result["$defs"]["secrets"]["propertyNames"] = {"enum": sorted(fields.secret)}
    return result


def store_address(store: str) -> tuple[str, int]:
    """Returns host and port of a store in production, as the charts have them."""
    text = (_CHARTS / "service-lib" / "values.yaml").read_text(encoding="utf-8")
    address = yaml.safe_load(text)["exports"]["defaults"]["stores"][store]
    return address["host"], address["port"]


def _rpcs(service: str) -> list[contract.Rpc]:
    return [rpc for rpc in contract.rpcs() if rpc.area == service]


def _faces_people(service: str) -> bool:
    return any(rpc.policy.access != policy_pb2.ACCESS_INTERNAL for rpc in _rpcs(service))


def _yaml(value: Mapping[str, Any]) -> str:
    return f"# {HEADER}\n{yaml.safe_dump(dict(value), sort_keys=False)}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


DERIVER = Deriver(
    owns=(
        "charts/*/derived/mesh.yaml",
        *(f"charts/{name}/values.schema.json" for name in _OF_SERVICES),
    ),
    files=files,
)
