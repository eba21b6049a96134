"""Holds calls back from a service that does not answer, so that its callers fail soon, not late.

    CLOSED ──10 failures in 5 s, and half of all calls──▶ OPEN
    OPEN ──its time is over, and one call is let through──▶ HALF_OPEN
    HALF_OPEN ──it is answered──▶ CLOSED        ──it fails──▶ OPEN, for twice as long

A failure is that nobody answers in time. Whatever the service answers, if only that it has too much
to do, is an answer.
"""

import time
from collections.abc import Callable
from typing import Final

from services.mesh.errors import Unavailable

_WINDOW_SECONDS: Final = 5.0
_FAILURES: Final = 10
_SHARE: Final = 0.5
# Who gave a call less time than this has learnt nothing about the service.
_FAIR_SECONDS: Final = 0.25
_FIRST_OPEN_SECONDS: Final = 0.5
_LONGEST_OPEN_SECONDS: Final = 2.0


class CircuitOpen(Unavailable):
    """Calls to a service are held back, as it has not answered for a while."""

    reason = "CIRCUIT_OPEN"


class CircuitBreaker:
    """The calls to one service. For one event loop's thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open_seconds = 0.0
        self._open_until = 0.0
        self._is_trying = False
        self._begin_window()

    @property
    def is_open(self) -> bool:
        """Whether calls are held back, but for the one that tries."""
        return self._open_seconds > 0

    def allows(self) -> bool:
        """Say whether a call may be made now. While it is open one in each span of time may."""
        if not self._open_seconds:
            return True
        now = self._clock()
        if now < self._open_until:
            return False
        # If the one that tries never ends, the next may when this span is over.
        self._open_until = now + self._open_seconds
        self._is_trying = True
        return True

    def seconds_left(self) -> float:
        """Return after how many seconds the next call may be made."""
        return max(0.0, self._open_until - self._clock())

    def ended(self, code: str, seconds: float) -> None:
        """Count a call that ended with the status called `code` after so many seconds."""
        if code == "UNAVAILABLE":
            self.failed()
        elif code != "DEADLINE_EXCEEDED":
            self.succeeded()
        elif seconds >= _FAIR_SECONDS:
            self.failed()

    def succeeded(self) -> None:
        """Count a call that was answered."""
        if self._open_seconds:
            self._open_seconds = 0.0
            self._begin_window()
        else:
            self._calls += 1

    def failed(self) -> None:
        """Count a call that nobody answered."""
        now = self._clock()
        if self._open_seconds:
            # Of the calls that were under way when it opened, nothing new is learnt.
            if self._is_trying:
                self._open(min(self._open_seconds * 2, _LONGEST_OPEN_SECONDS))
            return
        if now >= self._window_end:
            self._begin_window()
        self._calls += 1
        self._failures += 1
        if self._failures >= _FAILURES and self._failures >= self._calls * _SHARE:
            self._open(_FIRST_OPEN_SECONDS)

    def _open(self, seconds: float) -> None:
        self._open_seconds = seconds
        self._is_trying = False
        self._open_until = self._clock() + seconds

    def _begin_window(self) -> None:
        self._window_end = self._clock() + _WINDOW_SECONDS
        self._calls = 0
        self._failures = 0
