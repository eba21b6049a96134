"""Flow control (RFC 9113 section 5.2): what may be sent now, and what the peer may send.

Outflow   our messages: a connection's window, a window for each stream that has not sent all
Inflow    the connection's window of the peer's, opened again when half of it is used
spent     what is left of a stream's window of the peer's
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.frames import ConnectionFault

DEFAULT_WINDOW: Final = 65_535
MAX_WINDOW: Final = 2**31 - 1
# A frame is not larger, whatever the peer takes: others wait for their turn.
_MAX_FRAME_BYTES: Final = 65_536
# After so much the network is asked whether it takes more.
_BURST_BYTES: Final = 65_536


def _nothing() -> None:
    return


@dataclass(slots=True)
class _Sending:
    """A stream that has not sent all; `data` is what it sends now, `ends` that nothing follows."""

    window: int
    data: bytes = b""
    sent: int = 0
    ends: bool = False
    on_sent: Callable[[], None] = _nothing

    @property
    def left(self) -> int:
        return len(self.data) - self.sent


class Outflow:
    """The messages on their way to the peer."""

    __slots__ = ("_initial", "_max_frame", "_ready", "_streams", "_window", "is_held")

    def __init__(self) -> None:
        self._window = DEFAULT_WINDOW
        self._initial = DEFAULT_WINDOW
        self._streams: dict[int, _Sending] = {}
        # Those of them that have something to send, and whose own window lets them.
        self._ready: OrderedDict[int, _Sending] = OrderedDict()
        self._max_frame = frames.MAX_FRAME_BYTES
        self.is_held = False
        """Whether what goes by and by waits, the network being slower than the windows."""

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._streams)

    def limit_frames(self, max_bytes: int) -> None:
        """Takes another SETTINGS_MAX_FRAME_SIZE."""
        self._max_frame = min(max_bytes, _MAX_FRAME_BYTES)

    def begin(self, stream_id: int, body: bytes) -> bytes:
        """Gives the frames that may go now of all that a stream sends; `more` has the rest."""
        size = len(body)
        if size <= self._window and size <= self._initial and size <= self._max_frame:
            self._window -= size
            return frames.frame(frames.DATA, frames.END_STREAM, stream_id, body)
        self.open(stream_id)
        return self.put(stream_id, body, _nothing, ends=True)

    def open(self, stream_id: int) -> None:
        """Begins a stream that sends by and by."""
        self._streams[stream_id] = _Sending(self._initial)

    def put(self, stream_id: int, data: bytes, on_sent: Callable[[], None], *, ends: bool) -> bytes:
        """Gives the frames that may go now of what a stream sends next; `more` has the rest.

        `on_sent` is called when all has gone, which may be at once.
        """
        sending = self._streams[stream_id]
        sending.data, sending.sent, sending.ends, sending.on_sent = data, 0, ends, on_sent
        if not data:
            return self._next(stream_id, sending, 0)
        if sending.window > 0:
            self._ready[stream_id] = sending
        return self.more()

    def more(self) -> bytes:
        """Gives frames that may go now, one a stream in turns. To be asked until it gives none."""
        written: list[bytes] = []
        burst = _BURST_BYTES
        while self._ready and self._window > 0 and burst > 0 and not self.is_held:
            stream_id, sending = self._ready.popitem(last=False)
            size = min(self._window, sending.window, self._max_frame, sending.left)
            burst -= size
            written.append(self._next(stream_id, sending, size))
            if sending.left and sending.window > 0:
                self._ready[stream_id] = sending
        return b"".join(written)

    def _next(self, stream_id: int, sending: _Sending, size: int) -> bytes:
        part = sending.data[sending.sent : sending.sent + size]
        sending.sent += size
        sending.window -= size
        self._window -= size
        if sending.left:
            return frames.frame(frames.DATA, 0, stream_id, part)
        flags = frames.END_STREAM if sending.ends else 0
        if sending.ends:
            del self._streams[stream_id]
        sending.data, sending.sent = b"", 0
        sending.on_sent()
        return frames.frame(frames.DATA, flags, stream_id, part)

    def discard(self, stream_id: int) -> bool:
        """Forgets a stream; says whether it had not sent all."""
        if not self._streams or self._streams.pop(stream_id, None) is None:
            return False
        self._ready.pop(stream_id, None)
        return True

    def widen(self, stream_id: int, increment: int) -> bool:
        """Takes a WINDOW_UPDATE. Returns False if the stream's window overflows.

        Raises ConnectionFault if the connection's does (RFC 9113 section 6.9.1).
        """
        if stream_id == 0:
            self._window += increment
            if self._window > MAX_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "the window overflows")
            return True
        sending = self._streams.get(stream_id)
        if sending is None:
            return True
        sending.window += increment
        if sending.left and sending.window > 0:
            self._ready[stream_id] = sending
        return sending.window <= MAX_WINDOW

    def settle(self, initial: int) -> None:
        """Takes another SETTINGS_INITIAL_WINDOW_SIZE; a window may become negative by it."""
        for stream_id, sending in self._streams.items():
            sending.window += initial - self._initial
            if sending.window <= 0:
                self._ready.pop(stream_id, None)
            elif sending.left:
                self._ready[stream_id] = sending
        self._initial = initial


class Inflow:
    """What the peer may still send on the connection."""

    __slots__ = ("_half", "_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._half = size >> 1

    def take(self, size: int) -> int:
        """Counts what came, padding too. Returns by how much to open the window, mostly 0.

        Raises ConnectionFault if the peer sent what it must not.
        """
        left = self._left = spent(self._left, size)
        if left >= self._half:
            return 0
        self._left = self._size
        return self._size - left


def spent(window: int, size: int) -> int:
    """Gives what is left of a window. Raises ConnectionFault if the peer sent what it must not."""
    if size > window:
        raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "the peer ignores its window")
    return window - size
