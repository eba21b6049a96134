"""Connections of gRPC's library: when one stands, and how one is closed without cutting calls off.

await connected(fresh, seconds)
streams.begun(call)                                   for every stream on it
await close_when_idle(former, streams, seconds)
"""

import asyncio
from contextlib import suppress
from typing import Any

import grpc.aio


async def connected(channel: grpc.aio.Channel, seconds: float) -> None:
    """Return when the channel's connection stands, at the latest after `seconds`.

    Closes the channel if it is not waited for to the end.
    """
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await channel.channel_ready()
    except BaseException:
        await channel.close()
        raise


class Streams:
    """The streams that are open on one connection."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[None]] = set()

    def begun(self, call: Any) -> None:
        """Take note of a stream that has just begun, until it ends."""
        ended = asyncio.get_running_loop().create_future()
        self._open.add(ended)

        def end(_call: Any) -> None:
            self._open.discard(ended)
            if not ended.done():
                ended.set_result(None)

        call.add_done_callback(end)

    async def ended(self, seconds: float) -> None:
        """Return when those that are open now have ended, at the latest after `seconds`."""
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=seconds)


async def close_when_idle(connection: grpc.aio.Channel, streams: Streams, seconds: float) -> None:
    """Close a connection when its calls have ended, or their time is up; at once if cancelled.

    grpc.aio waits until the requests of streams are sent, and then cancels them.
    """
    try:
        await streams.ended(seconds)
        await connection.close(seconds)
    except asyncio.CancelledError:
        await connection.close()
        raise
