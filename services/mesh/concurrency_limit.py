"""How many calls a process serves at once: as many as it can without making them wait.

    a window         a tenth of a second, and at least 20 calls that ended in it
    a slow call      took longer than 4 times what is usual for its RPC, and its patience more
    its patience     a quarter of the RPC's deadline, 0.1 s at least
    most are slow    the limit falls by a quarter, from what was really served at once
    few are slow     the limit grows, if it was nearly reached

The usual time of an RPC is learnt while the process has little to do. What overloads it does not
matter (the CPU, a connection pool, a store): in each case calls begin to wait. Where the limit
comes near, what matters least is refused first (the policy's priority), so that a sale still goes
through when nobody gets to browse.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from services.mesh.errors import ResourceExhausted
from souk.mesh.v1.policy_pb2 import Priority

_WINDOW_SECONDS: Final = 0.1
_WINDOW_CALLS: Final = 20
_SLOW_FACTOR: Final = 4.0
_LEAST_PATIENCE_SECONDS: Final = 0.1
_PATIENCE: Final = 0.25
_FALL: Final = 0.75
_GROWTH: Final = 0.05
_NEARLY: Final = 0.8
# An RPC that has become slower for good is known as such after about a thousand calls.
_DRIFT: Final = 0.001

_SHARES: Final = {
    Priority.PRIORITY_LOW: 0.7,
    Priority.PRIORITY_UNSPECIFIED: 0.85,
    Priority.PRIORITY_NORMAL: 0.85,
    Priority.PRIORITY_HIGH: 1.0,
}
"""The part of the limit that calls of a priority may fill, together with all others."""


# Spread, so that those who were refused together do not come back together.
_COME_BACK_SECONDS: Final = (0.1, 0.5)


class Overloaded(ResourceExhausted):
    """The process has as much to do as it can do in time."""

    reason = "OVERLOADED"


def come_back_seconds() -> float:
    """Return after how many seconds who was refused may come back."""
    return random.uniform(*_COME_BACK_SECONDS)  # noqa: S311  # spreads load, guards nothing


class UsualTime:
    """How long an RPC usually takes, in seconds, and how long it may take and not be slow."""

    __slots__ = ("_patience", "seconds")

    def __init__(self, deadline: float | None = None) -> None:
        """`deadline` is the RPC's own, in seconds."""
        self.seconds: float | None = None
        self._patience = max(_LEAST_PATIENCE_SECONDS, (deadline or 0.0) * _PATIENCE)

    def learn(self, seconds: float) -> None:
        """Take a call into account: a quicker one at once, a slower one little by little."""
        if self.seconds is None or seconds < self.seconds:
            self.seconds = seconds
        else:
            self.seconds += (seconds - self.seconds) * _DRIFT

    def is_exceeded_by(self, seconds: float) -> bool:
        """Say whether a call that took so long was slow."""
        return seconds > (self.seconds or 0.0) * _SLOW_FACTOR + self._patience


class ConcurrencyLimit:
    """The limit of one process, and the calls under way. For one event loop's thread."""

    def __init__(
        self,
        *,
        lowest: int = 20,
        highest: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lowest` to `highest` calls at once; it begins with a tenth of the highest."""
        self._lowest = min(lowest, highest)
        self._highest = highest
        self._clock = clock
        self._limit = float(max(self._lowest, highest // 10))
        self._under_way = 0
        self._waiting = 0
        self._peak = 0
        self._begin_window()

    @property
    def limit(self) -> int:
        """How many calls may be under way now."""
        return int(self._limit)

    @property
    def under_way(self) -> int:
        """How many calls are under way."""
        return self._under_way

    def admits(self, priority: Priority.ValueType) -> bool:
        """Say whether there is room for one more call of this priority."""
        has_room = self._under_way < self._limit * _SHARES[priority]
        return has_room and self._under_way + self._waiting < self._highest

    def begin(self) -> None:
        """Count a call that begins."""
        self._under_way += 1
        self._peak = max(self._peak, self._under_way)

    def leave(self) -> None:
        """Count a call that from now on only waits, and takes no room but of the highest."""
        self._under_way -= 1
        self._waiting += 1

    def come_back(self) -> None:
        """Count a call that goes on after it has waited."""
        self._waiting -= 1
        self.begin()

    def end(self, usual: UsualTime, seconds: float) -> None:
        """Count a call that took so many seconds, and adapt the limit when a window is over."""
        if usual.seconds is None or self._peak * 2 < self._limit:
            usual.learn(seconds)
        self._under_way -= 1
        self._ended += 1
        self._slow += usual.is_exceeded_by(seconds)
        if self._ended >= _WINDOW_CALLS and self._clock() >= self._window_end:
            self._adapt()
            self._begin_window()

    def _adapt(self) -> None:
        if self._slow * 2 > self._ended and self._peak > self._lowest:
            self._limit = max(self._lowest, min(self._limit, self._peak) * _FALL)
        elif self._peak >= self._limit * _NEARLY:
            self._limit = min(self._highest, self._limit * (1 + _GROWTH) + 1)

    def _begin_window(self) -> None:
        self._window_end = self._clock() + _WINDOW_SECONDS
        self._ended = 0
        self._slow = 0
        self._peak = self._under_way
