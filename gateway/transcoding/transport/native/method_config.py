"""What a gRPC service config says of methods (gRFC A2, A6 and doc/service_config.md).

    {"methodConfig": [{"name": [{"service": "shop.v1.Orders", "method": "GetOrder"}],
                       "timeout": "5s", "waitForReady": true, "maxRequestMessageBytes": 65536,
                       "maxResponseMessageBytes": 65536, "retryPolicy": {"maxAttempts": 3, ...}}],
     "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}}

Load balancing is always round_robin; hedging is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.rpc import code_pb2

# gRFC A6: more is taken as this.
_MAX_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often a call may be repeated. `max_attempts` counts the first, too."""

    max_attempts: int
    initial_backoff_seconds: float
    max_backoff_seconds: float
    backoff_multiplier: float
    codes: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodConfig:
    """How one method is called."""

    timeout_seconds: float | None = None
    waits_for_ready: bool = False
    """Whether a call to a service that cannot be reached waits until it can."""
    max_request_bytes: int | None = None
    max_response_bytes: int | None = None
    retry: RetryPolicy | None = None


class MethodConfigs:
    """The configs of a service config, found by the path of a method."""

    def __init__(self, service_config: Mapping[str, Any]) -> None:
        """Raises KeyError or ValueError for a config that is malformed."""
        self._by_name: dict[str, MethodConfig] = {}
        for each in service_config.get("methodConfig", ()):
            config = _method_config(each)
            for name in each["name"]:
                self._by_name[f"/{name.get('service', '')}/{name.get('method', '')}"] = config
        self._default = self._by_name.get("//", MethodConfig())

    def find(self, path: str) -> MethodConfig:
        """Finds what holds for `/package.Service/Method`: its own, its service's, any's."""
        found = self._by_name.get(path)
        if found is None:
            found = self._by_name.get(path.rpartition("/")[0] + "/", self._default)
        return found


def _method_config(config: Mapping[str, Any]) -> MethodConfig:
    retry = config.get("retryPolicy")
    return MethodConfig(
        timeout_seconds=_seconds(config["timeout"]) if "timeout" in config else None,
        waits_for_ready=bool(config.get("waitForReady", False)),
        max_request_bytes=_bytes(config.get("maxRequestMessageBytes")),
        max_response_bytes=_bytes(config.get("maxResponseMessageBytes")),
        retry=_retry_policy(retry) if retry is not None else None,
    )


def _retry_policy(policy: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=min(int(policy["maxAttempts"]), _MAX_ATTEMPTS),
        initial_backoff_seconds=_seconds(policy["initialBackoff"]),
        max_backoff_seconds=_seconds(policy["maxBackoff"]),
        backoff_multiplier=float(policy["backoffMultiplier"]),
        codes=frozenset(code_pb2.Code.Value(name) for name in policy["retryableStatusCodes"]),
    )


def _seconds(duration: str) -> float:
    """Reads the JSON form of a google.protobuf.Duration: `1.5s`."""
    return float(duration.removesuffix("s"))


def _bytes(value: int | str | None) -> int | None:
    """Reads the JSON form of a google.protobuf.UInt32Value: a number, or its text."""
    return None if value is None else int(value)
