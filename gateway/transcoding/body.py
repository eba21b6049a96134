"""Reads request bodies within limits of size and time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.transcoding.compression import Inflater
from gateway.transcoding.errors import too_large, too_slow
from gateway.transcoding.http import Chunks, HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of the gateway."""

    body_bytes: int = 256 * 1024
    """After decompression; of each message, where a client streams."""
    read_seconds: float = 10.0
    """For a whole body."""
    idle_seconds: float = 60.0
    """Between two pieces, where a client streams."""


def arrived(request: HttpRequest, limits: Limits) -> bytes | None:
    """Gives a whole body that is here already, None if it has to be read. Raises StatusError."""
    if not request.body:
        return request.body
    whole = _Whole(request, limits)
    whole.add(request.body)
    return whole.finish()


async def read(request: HttpRequest, limits: Limits) -> bytes:
    """Reads a whole body. Raises StatusError."""
    here = arrived(request, limits)
    if here is not None:
        return here
    whole = _Whole(request, limits)
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for chunk in request.chunks():
                whole.add(chunk)
    except TimeoutError:
        raise too_slow() from None
    return whole.finish()


class _Whole:
    """A body being put together."""

    def __init__(self, request: HttpRequest, limits: Limits) -> None:
        self._inflater = Inflater(request.headers)
        self._limit = self._left = limits.body_bytes
        self._parts: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        for piece in self._inflater.feed(chunk):
            self._parts.append(piece)
            self._left -= len(piece)
            if self._left < 0:
                raise too_large("the body", self._limit)

    def finish(self) -> bytes:
        if self._parts:
            self._inflater.finish()
        return b"".join(self._parts)


async def stream(request: HttpRequest, limits: Limits) -> AsyncIterator[bytes]:
    """Reads a body in pieces as they come. Raises StatusError."""
    inflater = Inflater(request.headers)
    chunks = request.chunks()
    is_empty = True
    while (chunk := await _next(chunks, limits.idle_seconds)) is not None:
        is_empty = is_empty and not chunk
        for piece in inflater.feed(chunk):
            if piece:
                yield piece
    if not is_empty:
        inflater.finish()


async def _next(chunks: Chunks, timeout_seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await anext(chunks, None)
    except TimeoutError:
        raise too_slow() from None
