"""Whether a failed call is tried again, and when (gRFC A6).

A call is repeated if its policy names the status, the answer had not begun, tries are left, and
the throttle has tokens. The server may say when (`grpc-retry-pushback-ms`), or that it must not.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.transport.native.answer import failure
from gateway.transcoding.transport.native.backoff import Backoff
from gateway.transcoding.transport.native.exchange import Unprocessed
from gateway.transcoding.transport.native.method_config import RetryPolicy


class Tried(Protocol):
    """An attempt that has failed."""

    pushback_ms: int | None

    @property
    def is_committed(self) -> bool:
        """Whether the answer had begun."""
        ...


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

    def wait_seconds(self, error: StatusError, attempt: Tried) -> float | None:
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


class Tries:
    """All tries of one call, also those that gRFC A6 calls transparent."""

    __slots__ = ("_policy", "_retries", "_throttle", "_was_refused")

    def __init__(self, policy: RetryPolicy | None, throttle: Throttle) -> None:
        """Without a policy only what no server has begun to work on is tried again."""
        self._policy = policy
        self._throttle = throttle
        self._retries: Retries | None = None
        self._was_refused = False

    def wait_seconds(
        self, failed: StatusError | Unprocessed, attempt: Tried, *, is_repeatable: bool = True
    ) -> float:
        """Says how long to wait before trying again. Raises StatusError if the call has failed.

        `is_repeatable` says whether all that was sent could be sent once more.
        """
        if isinstance(failed, Unprocessed):
            # What no server saw may be repeated at will, what one has refused once.
            if is_repeatable and not (failed.was_sent and self._was_refused):
                self._was_refused = self._was_refused or failed.was_sent
                return 0
            failed = failure(code_pb2.UNAVAILABLE, "the service refused the call")
        if self._policy is None:
            raise failed
        if self._retries is None:
            self._retries = Retries(self._policy, self._throttle)
        wait = self._retries.wait_seconds(failed, attempt)
        if wait is None or not is_repeatable:
            raise failed
        return wait

    def fields(self) -> Metadata:
        """Says how often the call was made before, as metadata."""
        count = self._retries.count if self._retries is not None else 0
        return (("grpc-previous-rpc-attempts", str(count)),) if count else ()


def _backoff(policy: RetryPolicy) -> Backoff:
    return Backoff(
        initial_seconds=policy.initial_backoff_seconds,
        max_seconds=policy.max_backoff_seconds,
        multiplier=policy.backoff_multiplier,
    )
