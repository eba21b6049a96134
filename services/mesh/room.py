"""The room that a call takes of its process's limit, and gives back while it only waits.

    with room.waiting():
        ...                  # for what others do: another attempt, another process

A call that waits for somebody else's work costs next to nothing. Counted as being served, a few of
them would fill a limit that has fallen, and as slow ones they would keep it there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.mesh import served_call
from services.mesh.concurrency_limit import ConcurrencyLimit


class Room:
    """The room of one call. `waited_seconds`: how long it was given back altogether."""

    __slots__ = ("_limit", "waited_seconds")

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self._limit = limit
        self.waited_seconds = 0.0

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Give it back for the length of the block; it is taken again without being asked for."""
        self._limit.leave()
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.waited_seconds += time.perf_counter() - begin
            self._limit.come_back()


@contextmanager
def waiting() -> Iterator[None]:
    """Let the call being served take no room for the length of the block."""
    room = served_call.current().room
    if room is None:
        yield
        return
    with room.given_back():
        yield
