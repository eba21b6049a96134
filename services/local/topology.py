"""What the local mesh consists of: names, ports, and where each service stores.

    make up ─┬─ postgres redis mongo
             ├─ sandbox
             ├─ user product order payment notification
             └─ gateway (with the storefront's gRPC listener)

The ports are those of one machine; each container has its own machine, and serves gRPC on the
mesh's (`services.mesh.settings.GRPC_PORT`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of the shop, the port it has unless told another, and where it stores.

    `stores` are among "postgres", "redis" and "mongo". Whom it calls and what it answers for follow
    from the contract (`contract`).
    """

    name: str
    port: int
    stores: frozenset[str]


SERVICES = (
    Service(name="user", port=50051, stores=frozenset({"postgres"})),
    Service(name="product", port=50052, stores=frozenset({"mongo"})),
    Service(name="order", port=50053, stores=frozenset({"postgres", "redis"})),
    Service(name="payment", port=50054, stores=frozenset({"postgres"})),
    Service(name="notification", port=50055, stores=frozenset({"postgres", "redis"})),
)

IDENTITIES = (*(service.name for service in SERVICES), "sandbox", "gateway", "developer")
"""Who gets a certificate; `developer` is the person at the keyboard."""

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType(
    {
        "gateway": 8080,
        "storefront": 50050,
        **{service.name: service.port for service in SERVICES},
        "sandbox": 50060,
        # The usual port with a 1 before it, so that a server installed beside is not in the way.
        "postgres": 15432,
        "redis": 16379,
        "mongo": 27117,
    }
)

EXTERNAL_URLS: Mapping[str, str] = MappingProxyType(
    {
        "postgres": "SOUK_POSTGRES_URL",
        "redis": "SOUK_REDIS_URL",
        "mongo": "SOUK_MONGO_URL",
    }
)
"""The environment variable that replaces each embedded store by a server elsewhere."""


def port_variable(name: str) -> str:
    """Returns the environment variable that sets a port, like `SOUK_GATEWAY_PORT`."""
    return f"SOUK_{name.upper()}_PORT"


def external_urls(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the URL of each store that the environment puts elsewhere."""
    return {store: environ[name] for store, name in EXTERNAL_URLS.items() if environ.get(name)}


def services_with(store: str) -> tuple[str, ...]:
    """Returns the names of the services that keep something in `store`."""
    return tuple(service.name for service in SERVICES if store in service.stores)
