"""The body of an answer that a call is still under way for."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any

from gateway.transcoding.http import Chunks


class CallBody(AsyncGenerator[bytes, None]):
    """Gives frames, and ends the call with them: at their end, at a failure, or when closed.

    Unlike a generator's `finally`, that also holds for a body of which nothing was ever asked.
    """

    def __init__(self, frames: Chunks, end: Callable[[], Awaitable[None]]) -> None:
        """`end` ends the call; it may be asked more than once."""
        self._frames = frames
        self._end = end

    async def asend(self, value: None) -> bytes:
        """Gives the next frame."""
        try:
            return await self._frames.asend(value)
        except BaseException:
            await self._end()
            raise

    async def athrow(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> bytes:
        """Raises an exception where the frames are made."""
        try:
            return await self._frames.athrow(typ, val, tb)
        finally:
            await self._end()

    async def aclose(self) -> None:
        """Gives up the rest."""
        try:
            await self._frames.aclose()
        finally:
            await self._end()
