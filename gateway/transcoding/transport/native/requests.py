"""The requests of a streaming call, kept while the call may have to be made again (gRFC A6)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from gateway.transcoding.transport import Messages
from gateway.transcoding.transport.native import message
from gateway.transcoding.transport.native.streaming_attempt import StreamingAttempt

# As grpc has it (per_rpc_retry_buffer_size).
_MAX_KEPT_BYTES: Final = 256 * 1024


class Requests:
    """Messages that come by and by, to be sent by one attempt or by several in turn."""

    def __init__(self, messages: Messages, limit_bytes: int | None) -> None:
        """`limit_bytes` is what each may measure."""
        self._messages = messages
        self._limit = limit_bytes
        self._next: asyncio.Future[bytes | None] | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._is_complete = False
        self.are_kept = True
        """Whether all that was taken could be sent once more."""

    async def send(self, attempt: StreamingAttempt) -> None:
        """Sends all there was and all that comes, until the attempt is over.

        Raises what the messages raise.
        """
        for kept in list(self._kept):
            await attempt.send(kept)
        while not self._is_complete and not attempt.is_over:
            taken = await self._take()
            if taken is None:
                self._is_complete = True
                break
            framed = message.framed(taken, self._limit)
            self._keep(framed)
            await attempt.send(framed)
        if self._is_complete:
            await attempt.finish()

    def let_go(self) -> None:
        """Keeps no more, since the call will not be made again."""
        self.are_kept = False
        self._kept.clear()

    async def aclose(self) -> None:
        """Takes no more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
            if not self._next.cancelled():
                # Nobody is left to hear of it.
                self._next.exception()
        close = getattr(self._messages, "aclose", None)
        if close is not None:
            await close()

    async def _take(self) -> bytes | None:
        """Takes the next message; None if there is none.

        An attempt that ends while it waits does not end the waiting: the message is for the next.
        """
        if self._next is None and not self.are_kept:
            return await anext(self._messages, None)
        if self._next is None:
            self._next = asyncio.ensure_future(_next(self._messages))
        await asyncio.wait({self._next})
        taken, self._next = self._next, None
        return taken.result()

    def _keep(self, framed: bytes) -> None:
        if not self.are_kept:
            return
        self._kept_bytes += len(framed)
        if self._kept_bytes > _MAX_KEPT_BYTES:
            self.let_go()
        else:
            self._kept.append(framed)


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)
