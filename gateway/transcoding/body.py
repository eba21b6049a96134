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


async def read(request: HttpRequest, limits: Limits) -> bytes:
    """Reads a whole body. Raises StatusError."""
    if request.body == b"":
        return b""
    try:
        async with asyncio.timeout(limits.read_seconds):
            parts: list[bytes] = []
            left = limits.body_bytes
            inflater = Inflater(request.headers)
            async for chunk in request.chunks():
                for piece in inflater.feed(chunk):
                    parts.append(piece)
                    left -= len(piece)
                    if left < 0:
                        raise too_large("the body", limits.body_bytes)
    except TimeoutError:
        raise too_slow() from None
    if parts:
        inflater.finish()
    return b"".join(parts)


async def stream(request: HttpRequest, limits: Limits) -> AsyncIterator[bytes]:
    """Reads a body in pieces as they come. Raises StatusError."""
    inflater = Inflater(request.headers)
    chunks = request.chunks()
    is_empty = True
    while (chunk := await _next(chunks, limits.idle_seconds)) is not None:
        is_empty = False
        for piece in inflater.feed(chunk):
            yield piece
    if not is_empty:
        inflater.finish()


async def _next(chunks: Chunks, timeout_seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await anext(chunks, None)
    except TimeoutError:
        raise too_slow() from None
