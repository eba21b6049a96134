"""Waiting for news within one process: one connection listens, many wait for what concerns them.

with watchers.watching(order_id) as changed:
    while True:
        changed.clear()
        ...                              # read what is new, since a wake-up says no more
        await waiting.set_within(changed, poll_seconds)
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Returns whether the event is set, as soon as it is or after so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


class Watchers:
    """Who waits for news of what, by its key. For one event loop's thread."""

    def __init__(self) -> None:
        self._events: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def __len__(self) -> int:
        """Returns how many wait."""
        return sum(map(len, self._events.values()))

    @contextmanager
    def watching(self, key: str) -> Iterator[asyncio.Event]:
        """Yields what is set whenever there is news of `key`, until the block is left."""
        event = asyncio.Event()
        self._events[key].add(event)
        try:
            yield event
        finally:
            self._events[key].discard(event)
            if not self._events[key]:
                del self._events[key]

    def wake(self, key: str) -> None:
        """Tells those who wait for news of `key`."""
        for event in self._events.get(key, ()):
            event.set()

    def wake_everybody(self) -> None:
        """Tells all, when news may have been missed."""
        for key in self._events:
            self.wake(key)
