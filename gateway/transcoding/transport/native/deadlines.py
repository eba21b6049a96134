"""Ends attempts at their deadlines: one timer for all of them, not one each.

Deadlines are put into slots of a few milliseconds. An attempt that ends in time leaves its slot,
so that nothing is kept of it; a deadline is met late by at most a slot, never early.
"""

import asyncio
import math
from typing import Final, Protocol

_SLOTS_A_SECOND: Final = 200


class Expiring(Protocol):
    """What has a deadline."""

    def expire(self) -> None:
        """Called when it has come."""
        ...


class Deadlines:
    """The deadlines of one transport's attempts, by the loop's clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, set[Expiring]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def add(self, when: float, waiting: Expiring) -> int:
        """Registers a deadline. Returns its slot, for `discard`."""
        slot = math.ceil(when * _SLOTS_A_SECOND)
        members = self._slots.get(slot)
        if members is None:
            self._slots[slot] = {waiting}
            if self._timer is None or slot < self._next:
                self._wait_for(slot)
        else:
            members.add(waiting)
        return slot

    def discard(self, slot: int, waiting: Expiring) -> None:
        """Forgets a deadline, if it has not come."""
        members = self._slots.get(slot)
        if members is not None:
            members.discard(waiting)
            if not members:
                del self._slots[slot]

    def close(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait_for(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = slot
        self._timer = self._loop.call_at(slot / _SLOTS_A_SECOND, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time() * _SLOTS_A_SECOND
        for slot in [slot for slot in self._slots if slot <= now]:
            for waiting in self._slots.pop(slot, ()):
                waiting.expire()
        # Whoever has expired may have added a later one.
        if self._slots:
            self._wait_for(min(self._slots))
