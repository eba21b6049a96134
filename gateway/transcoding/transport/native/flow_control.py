"""Flow control (RFC 9113 section 5.2): what may be sent now, and what the peer may send.

Outflow   our messages: a connection's window, a window for each one that waits
Inflow    a window of the peer's, opened again when half of it is used
"""

from dataclasses import dataclass
from typing import Final

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.frames import ConnectionFault

DEFAULT_WINDOW: Final = 65_535
MAX_WINDOW: Final = 2**31 - 1


@dataclass(slots=True)
class _Waiting:
    body: bytes
    window: int
    sent: int = 0


class Outflow:
    """The messages on their way to the peer; each is all that its stream sends."""

    __slots__ = ("_initial", "_waiting", "_window", "max_frame")

    def __init__(self) -> None:
        self._window = DEFAULT_WINDOW
        self._initial = DEFAULT_WINDOW
        self._waiting: dict[int, _Waiting] = {}
        self.max_frame = frames.MAX_FRAME_BYTES

    def begin(self, stream_id: int, body: bytes) -> bytes:
        """Gives the frames that may go now; the rest waits for its windows."""
        size = len(body)
        if size <= self._window and size <= self._initial and size <= self.max_frame:
            self._window -= size
            return frames.frame(frames.DATA, frames.END_STREAM, stream_id, body)
        self._waiting[stream_id] = _Waiting(body, self._initial)
        return self.more()

    def more(self) -> bytes:
        """Gives the frames that may go now, one a message in turns."""
        written: list[bytes] = []
        count = -1
        while self._waiting and len(written) > count:
            count = len(written)
            for stream_id, waiting in list(self._waiting.items()):
                size = min(
                    self._window,
                    waiting.window,
                    self.max_frame,
                    len(waiting.body) - waiting.sent,
                )
                if size > 0:
                    written.append(self._next(stream_id, waiting, size))
        return b"".join(written)

    def _next(self, stream_id: int, waiting: _Waiting, size: int) -> bytes:
        part = waiting.body[waiting.sent : waiting.sent + size]
        waiting.sent += size
        waiting.window -= size
        self._window -= size
        is_last = waiting.sent == len(waiting.body)
        if is_last:
            del self._waiting[stream_id]
        return frames.frame(frames.DATA, frames.END_STREAM if is_last else 0, stream_id, part)

    def discard(self, stream_id: int) -> bool:
        """Forgets the rest of a message; says whether there was one."""
        return self._waiting.pop(stream_id, None) is not None

    def widen(self, stream_id: int, increment: int) -> bool:
        """Takes a WINDOW_UPDATE. Returns False if the stream's window overflows.

        Raises ConnectionFault if the connection's does (RFC 9113 section 6.9.1).
        """
        if stream_id == 0:
            self._window += increment
            if self._window > MAX_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "the window overflows")
            return True
        waiting = self._waiting.get(stream_id)
        if waiting is not None:
            waiting.window += increment
            return waiting.window <= MAX_WINDOW
        return True

    def settle(self, initial: int) -> None:
        """Takes another SETTINGS_INITIAL_WINDOW_SIZE; a window may become negative by it."""
        for waiting in self._waiting.values():
            waiting.window += initial - self._initial
        self._initial = initial


class Inflow:
    """What the peer may still send, on a stream or on the connection."""

    __slots__ = ("_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = self._left = size

    def take(self, size: int) -> int:
        """Counts what came, padding too. Returns by how much to open the window, mostly 0.

        Raises ConnectionFault if the peer sent what it must not.
        """
        left = self._left = self._left - size
        if left < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "the peer ignores its window")
        if left >= self._size >> 1:
            return 0
        self._left = self._size
        return self._size - left
