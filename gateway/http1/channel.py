"""The sending side of a connection, whatever it speaks: back-pressure, and clients that stall."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from gateway.http1.endpoint import Endpoint
from gateway.http1.write_watch import WriteWatch

# Lingering for no time at all makes the kernel send RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)


class Channel(asyncio.Protocol):
    """A protocol that writes no faster than its client reads."""

    __slots__ = ("_endpoint", "_transport", "_watch", "_writable", "_written_bytes")

    _transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._writable: asyncio.Future[None] | None = None
        self._watch = WriteWatch()
        self._written_bytes = 0

    def write(self, data: bytes) -> None:
        """Writes, unless the connection has ended."""
        if not self._transport.is_closing():
            self._written_bytes += len(data)
            self._transport.write(data)

    async def until_writable(self) -> None:
        """Waits until the client has read enough of what was written."""
        if self._writable is not None:
            # Others may wait for it, too.
            await asyncio.shield(self._writable)

    def pause_writing(self) -> None:
        """Takes note that the client does not keep up."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Takes note that it has caught up, or that it never will."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def is_stalled(self, now: float) -> bool:
        """Says whether the client does not read what it has been sent."""
        return self._watch.is_stalled(
            written_bytes=self._written_bytes,
            unsent_bytes=self._transport.get_write_buffer_size(),
            limits=self._endpoint.limits,
            now=now,
        )

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        raise NotImplementedError

    def drain(self) -> None:
        """Ends the connection when nothing is under way on it, soon."""
        raise NotImplementedError

    def abort(self) -> None:
        """Ends the connection at once, whatever is unsent."""
        self._transport.abort()

    def reset(self) -> None:
        """Ends the connection in a way that no client takes for the end of an answer."""
        sending = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
