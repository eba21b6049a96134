"""The server side of `transport.py`: `python -m tests.bench.transport_server CPU`.

Speaks as much HTTP/2 as it takes to answer every unary call with the same message, so that the
client is what is measured. Prints its port.
"""

import asyncio
import os
import sys
from typing import Final

import hpack
import uvloop

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.frames import FrameReader

_MESSAGE: Final = b"m" * 290
_LARGEST: Final = 2**31 - 1


class Answering(asyncio.Protocol):
    """Answers each request when it has ended."""

    def __init__(self) -> None:
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        head = [(":status", "200"), ("content-type", "application/grpc")]
        # Only the first block says that there is no dynamic table.
        self._first = encoder.encode(head, huffman=False)
        self._between = encoder.encode(head, huffman=False)
        self._last = encoder.encode([("grpc-status", "0")], huffman=False)
        self._preface = frames.PREFACE
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens all windows."""
        self._transport = transport
        settings = frames.frame(frames.SETTINGS, 0, 0)
        transport.write(settings + frames.window_update(0, _LARGEST - 65_535))  # type: ignore[attr-defined]  # uvloop's are not derived from asyncio's

    def data_received(self, data: bytes) -> None:
        """Answers what is complete."""
        if self._preface:
            missing = len(self._preface)
            self._preface, data = self._preface[len(data) :], data[missing:]
        answers = [
            self._answer(kind, flags, stream_id, payload)
            for kind, flags, stream_id, payload in self._reader.feed(data)
        ]
        self._transport.write(b"".join(answers))  # type: ignore[attr-defined]  # as above

    def _answer(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
        if kind == frames.SETTINGS and not flags & frames.ACK:
            return frames.frame(frames.SETTINGS, frames.ACK, 0)
        if kind == frames.PING and not flags & frames.ACK:
            return frames.frame(frames.PING, frames.ACK, 0, payload)
        if kind != frames.DATA or not flags & frames.END_STREAM:
            return b""
        first, self._first = self._first, self._between
        message = b"\0" + len(_MESSAGE).to_bytes(4, "big") + _MESSAGE
        return (
            frames.headers(stream_id, first, frames.MAX_FRAME_BYTES)
            + frames.frame(frames.DATA, 0, stream_id, message)
            + frames.frame(
                frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, self._last
            )
        )


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(_serve())
