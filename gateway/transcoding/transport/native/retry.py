"""Whether a failed call is tried again, and when (gRFC A6).

A call is repeated if its policy names the status, the answer had not begun, tries are left, and
the throttle has tokens. The server may say when (`grpc-retry-pushback-ms`), or that it must not.
"""

from collections.abc import Mapping
from typing import Any

from gateway.transcoding.errors import StatusError
from gateway.transcoding.transport.native.attempt import Attempt
from gateway.transcoding.transport.native.backoff import Backoff
from gateway.transcoding.transport.native.method_config import RetryPolicy


class Throttle:
    """Stops retries while many calls fail, so that they do not feed an overload."""

    def __init__(self, service_config: Mapping[str, Any]) -> None:
        """Reads `retryThrottling`; without it nothing is stopped."""
        throttling = service_config.get("retryThrottling")
        self._max = float(throttling["maxTokens"]) if throttling else 0.0
        self._ratio = float(throttling["tokenRatio"]) if throttling else 0.0
        self._tokens = self._max

    def on_success(self) -> None:
        """Counts a call that went well."""
        if self._tokens < self._max:
            self._tokens = min(self._tokens + self._ratio, self._max)

    def on_failure(self) -> bool:
        """Counts a failure that might be retried, and says whether it may."""
        if self._max == 0:
            return True
        self._tokens = max(self._tokens - 1, 0.0)
        return self._tokens > self._max / 2


class Retries:
    """The tries of one call after its first."""

    __slots__ = ("_backoff", "_policy", "_throttle", "count")

    def __init__(self, policy: RetryPolicy, throttle: Throttle) -> None:
        self._policy = policy
        self._throttle = throttle
        self.count = 0
        """How many there have been."""
        self._backoff = _backoff(policy)

    def wait_seconds(self, error: StatusError, attempt: Attempt) -> float | None:
        """Says how long to wait before trying again; None if the call has failed for good."""
        pushback = attempt.pushback_ms
        is_forbidden = pushback is not None and pushback < 0
        if not is_forbidden and error.status.code not in self._policy.codes:
            return None
        has_tokens = self._throttle.on_failure()
        if is_forbidden or not has_tokens or attempt.is_committed:
            return None
        if self.count + 1 >= self._policy.max_attempts:
            return None
        self.count += 1
        if pushback is None:
            return self._backoff.next_seconds()
        self._backoff.reset()
        return pushback / 1e3


def _backoff(policy: RetryPolicy) -> Backoff:
    return Backoff(
        initial_seconds=policy.initial_backoff_seconds,
        max_seconds=policy.max_backoff_seconds,
        multiplier=policy.backoff_multiplier,
    )
