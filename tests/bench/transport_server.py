"""The server side of `transport.py`: `python -m tests.bench.transport_server CPU`.

Speaks as much HTTP/2 as it takes to answer every call with the same message, or with as many of
them as the request says, so that the client is what is measured. Prints its port.
"""

import asyncio
import os
import sys
from typing import Final

import hpack
import uvloop

from gateway.transcoding.transport.native import frames
from gateway.transcoding.transport.native.flow_control import DEFAULT_WINDOW
from gateway.transcoding.transport.native.frames import FrameReader
from gateway.transcoding.transport.native.peer_settings import PeerSettings

_MESSAGE: Final = b"\0" + (290).to_bytes(4, "big") + b"m" * 290
_LARGEST: Final = 2**31 - 1
_PREFIX: Final = 5
MANY: Final = b"many:"
"""What a request begins with that says how many messages it wants."""


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
        # By stream: how many bytes are left, and the window.
        self._left: dict[int, int] = {}
        self._windows: dict[int, int] = {0: DEFAULT_WINDOW}
        self._peer = PeerSettings()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens all windows."""
        self._transport = transport
        settings = frames.frame(frames.SETTINGS, 0, 0)
        transport.write(settings + frames.window_update(0, _LARGEST - DEFAULT_WINDOW))  # type: ignore[attr-defined]  # uvloop's are not derived from asyncio's

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
            self._peer = self._peer.changed(payload)
            return frames.frame(frames.SETTINGS, frames.ACK, 0)
        if kind == frames.PING and not flags & frames.ACK:
            return frames.frame(frames.PING, frames.ACK, 0, payload)
        if kind == frames.WINDOW_UPDATE:
            if stream_id in self._windows:
                self._windows[stream_id] += frames.word(payload)
            return b"".join(self._messages(each) for each in list(self._left))
        if kind != frames.DATA or not flags & frames.END_STREAM:
            return b""
        first, self._first = self._first, self._between
        request = payload[_PREFIX:]
        many = request.startswith(MANY)
        count = int(request.removeprefix(MANY)) if many else 1
        self._left[stream_id] = count * len(_MESSAGE)
        self._windows[stream_id] = self._peer.initial_window_size
        head = frames.headers(stream_id, first, frames.MAX_FRAME_BYTES)
        return head + self._messages(stream_id)

    def _messages(self, stream_id: int) -> bytes:
        """Writes what the windows let go now, a message a frame, or what fits of it."""
        written: list[bytes] = []
        while left := self._left[stream_id]:
            at = -left % len(_MESSAGE)
            size = min(len(_MESSAGE) - at, self._windows[stream_id], self._windows[0])
            if not size:
                return b"".join(written)
            self._windows[stream_id] -= size
            self._windows[0] -= size
            self._left[stream_id] -= size
            written.append(frames.frame(frames.DATA, 0, stream_id, _MESSAGE[at : at + size]))
        del self._left[stream_id], self._windows[stream_id]
        ends = frames.END_HEADERS | frames.END_STREAM
        written.append(frames.frame(frames.HEADERS, ends, stream_id, self._last))
        return b"".join(written)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(_serve())
