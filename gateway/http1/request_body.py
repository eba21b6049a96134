"""A body that is read while it arrives, with flow control.

When more than `buffered_bytes` wait to be read, the client has to wait until they have been read.
"""

import asyncio
import time
from typing import Final

from gateway.transcoding.http import Chunks, ClientGone

_NO_PIECES: Final[tuple[bytes, ...]] = ()
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def nothing() -> Chunks:
    """Reads the body of a request that has none."""
    for piece in _NO_PIECES:
        yield piece


async def whole(body: bytes) -> Chunks:
    """Reads a body that has arrived."""
    yield body


class RequestBody:
    """The body of one request. The connection feeds it; the handler reads it, once."""

    __slots__ = (
        "_arrival",
        "_buffered_bytes",
        "_is_ended",
        "_is_lost",
        "_limit_bytes",
        "_pieces",
        "_transport",
        "_waiting_since",
        "is_continue_due",
    )

    def __init__(
        self, transport: asyncio.Transport, *, limit_bytes: int, is_continue_due: bool
    ) -> None:
        """`is_continue_due` if the client waits to be told that its body is wanted."""
        self._transport = transport
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._is_ended = self._is_lost = False
        self._arrival: asyncio.Future[None] | None = None
        self._waiting_since = 0.0
        self.is_continue_due = is_continue_due

    def waited_seconds(self, now: float) -> float:
        """Says how long the handler has been waiting for the client to send on."""
        return 0.0 if self._arrival is None else now - self._waiting_since

    def feed(self, piece: bytes) -> None:
        """Takes a piece."""
        if not piece:
            return
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)
        if self._buffered_bytes > self._limit_bytes and not self._transport.is_closing():
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        """Takes note that the last piece has come."""
        self._is_ended = True
        self._wake()

    def lose(self) -> None:
        """Takes note that no more will come: whoever reads on gets ClientGone."""
        self._is_lost = True
        self.is_continue_due = False
        self._wake()

    def discard(self) -> int:
        """Throws away what has not been read, and lets more come; gives its size."""
        return len(self._take())

    async def chunks(self) -> Chunks:
        """Reads the body. Raises ClientGone if the client leaves before its end."""
        if self.is_continue_due and not self._transport.is_closing():
            # RFC 9110 section 10.1.1. Only when the body is wanted: a client that asks hopes to be
            # told before it sends one.
            self._transport.write(CONTINUE)
        self.is_continue_due = False
        while True:
            if self._pieces:
                yield self._take()
            elif self._is_ended:
                return
            elif self._is_lost:
                raise ClientGone
            else:
                await self._wait()

    def _take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered_bytes = 0
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def _wait(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        self._waiting_since = time.monotonic()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
