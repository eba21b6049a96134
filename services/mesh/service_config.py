"""The gRPC service config of a contract: deadlines, and retries where repeating does no harm.

See github.com/grpc/grpc/blob/master/doc/service_config.md and gRFC A6 (client retries).
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from services.mesh import policy
from services.mesh.policy import Method

# A retry comes soon: what fails here is one of several processes, or one that restarts.
_RETRY_POLICY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    # RESOURCE_EXHAUSTED is what overload is shed with; the server says when to come back. CANCELLED
    # is how gRPC's core ends what a server that stops has accepted and not begun; a client that has
    # cancelled by itself repeats nothing.
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
}
# Retries stop while more than about one call in ten fails, so that they feed no overload.
_RETRY_THROTTLING = {"maxTokens": 100, "tokenRatio": 0.1}


def service_config(
    services: Iterable[ServiceDescriptor], *, timeouts: bool = True
) -> dict[str, Any]:
    """Return the service config, as its JSON form has it.

    Leave out the `timeouts` for a client of grpcio: its core counts them up to a second too short
    (grpc/grpc#40633), so `channel` gives each call its deadline itself.
    Raises ContractError if an RPC has no sound policy.
    """
    methods = policy.methods(services)
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [_method_config(method, timeouts=timeouts) for method in methods],
        "retryThrottling": _RETRY_THROTTLING,
    }


def _method_config(method: Method, *, timeouts: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"name": [{"service": method.service, "method": method.name}]}
    if timeouts and method.deadline is not None:
        config["timeout"] = f"{method.deadline:g}s"
    if method.retriable:
        config["retryPolicy"] = _RETRY_POLICY
    return config
