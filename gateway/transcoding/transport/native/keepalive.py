"""Finds out that a silent peer is gone (gRFC A8): a ping after a while, then the end.

A peer that answers the ping is left alone for longer: a server takes more than two pings within
five minutes in which it had nothing to say for an attack, and hangs up.
"""

import asyncio
from collections.abc import Callable
from typing import Final

INTERVAL_SECONDS: Final = 30.0
# More than the five minutes of which every gRPC server approves.
_QUIET_SECONDS: Final = 310.0
TIMEOUT_SECONDS: Final = 10.0


class Keepalive:
    """One timer a connection. `has_heard` is set whenever the peer sends anything."""

    __slots__ = (
        "_interval",
        "_is_asked",
        "_loop",
        "_lose",
        "_ping",
        "_quiet",
        "_timeout",
        "_timer",
        "has_heard",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ping: Callable[[], bool],
        lose: Callable[[], None],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        quiet_seconds: float = _QUIET_SECONDS,
    ) -> None:
        """`ping` sends one if a call is under way, and says so; `lose` gives the peer up."""
        self._loop = loop
        self._ping = ping
        self._lose = lose
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._quiet = quiet_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._is_asked = False
        self.has_heard = False

    def start(self) -> None:
        """Begins to watch."""
        self._timer = self._loop.call_later(self._interval, self._tick)

    def stop(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()

    def slow_down(self) -> None:
        """Pings half as often, since the peer finds it too often (gRFC A8)."""
        self._interval *= 2

    def _tick(self) -> None:
        if self._is_asked and not self.has_heard:
            self._lose()
            return
        has_answered = self._is_asked
        self._is_asked = not self.has_heard and self._ping()
        self.has_heard = False
        if has_answered:
            seconds = max(self._quiet, self._interval)
        else:
            seconds = self._timeout if self._is_asked else self._interval
        self._timer = self._loop.call_later(seconds, self._tick)
