"""Which calls give way where those that matter most find no room.

    a window         a quarter of a second, and at least ten calls
    short of room    some calls of high priority were refused, by a service or here, and of the
                     others most took longer than three times what is usual
    short            the share of the others that is let through falls by a third
    not              it grows again, by a tenth of all

A service that is short of room refuses by priority what comes to itself. What people look at is
asked of others, which may well have room, and yet take the machines that a sale needs. Here all of
it passes. Where nothing is slow but what is refused, a payment provider perhaps, looking at things
would win nothing by giving way, and does not.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from services.mesh.concurrency_limit import UsualTime
from souk.mesh.v1.policy_pb2 import Priority

_WINDOW_SECONDS: Final = 0.25
_WINDOW_CALLS: Final = 10
_SLOW_FACTOR: Final = 3.0
_REFUSED: Final = 0.05
_FALL: Final = 0.67
_GROWTH: Final = 0.1
_LEAST: Final = 0.02
# A plain number: an enum's wrapper is asked by name, which takes longer than the rest.
_HIGH: Final = Priority.PRIORITY_HIGH


class Precedence:
    """The share of calls below high priority that is let through. For one event loop's thread."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._dice = dice
        self.share = 1.0
        self._begin_window()

    def admits(self, priority: Priority.ValueType) -> bool:
        """Say whether a call of this priority may be made."""
        if self.share >= 1 or priority == _HIGH:
            return True
        return self._dice() < self.share

    def ended(
        self, priority: Priority.ValueType, usual: UsualTime, seconds: float, *, is_refused: bool
    ) -> None:
        """Count a call that took so many seconds, or for which there was no room."""
        if priority == _HIGH:
            self._high += 1
            self._refused += is_refused
        else:
            self._others += 1
            self._slow += seconds > (usual.seconds or 0.0) * _SLOW_FACTOR
        if self._high + self._others >= _WINDOW_CALLS and self._clock() >= self._window_end:
            self._adapt()
            self._begin_window()

    def _adapt(self) -> None:
        is_refusing = self._refused > self._high * _REFUSED
        are_looks_slow = self._others > 0 and self._slow * 2 >= self._others
        if is_refusing and are_looks_slow:
            self.share = max(_LEAST, self.share * _FALL)
        else:
            self.share = min(1.0, self.share + _GROWTH)

    def _begin_window(self) -> None:
        self._window_end = self._clock() + _WINDOW_SECONDS
        self._high = 0
        self._refused = 0
        self._others = 0
        self._slow = 0
