"""The gRPC server behind what `gateway.py` measures: one answer, made beforehand, to every call.

Speaks as much HTTP/2 (RFC 9113) as clients of gRPC need: settings, pings, flow control both ways.
Requests are kept, each once; the header blocks of a connection's first calls are read to see
which RPC is called.
"""

import asyncio
from collections import deque
from typing import Any, Final

import hpack

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEAD_BYTES: Final = 9
_MAX_FRAME_BYTES: Final = 16_384
_DEFAULT_WINDOW: Final = 65_535
_LARGEST_WINDOW: Final = 2**31 - 1
_HEADER_TABLE_SIZE: Final = 1
_INITIAL_WINDOW_SIZE: Final = 4
_CONNECTION: Final = b"\0\0\0\0"

_GRPC_HEAD_BYTES: Final = 5
_RESPONSE: Final = ((":status", "200"), ("content-type", "application/grpc"))
_TRAILERS: Final = (("grpc-status", "0"),)
# From the second on, header blocks are alike: the first has filled the table of RFC 7541, or said
# that there is none.
_ALIKE: Final = 2
_READ_BLOCKS: Final = 8
_REFILL_BYTES: Final = 2**24


class Backend:
    """What is answered at the moment, and what is asked."""

    def __init__(self) -> None:
        self.answer = b""
        self.paths: set[str] = set()
        """The RPCs of the calls whose header blocks were read."""
        self.requests: set[bytes] = set()
        """The different messages that came."""

    def reply(self, answer: bytes) -> None:
        """Answers every call with this message, from now on; forgets what was asked."""
        self.answer = answer
        self.paths.clear()
        self.requests.clear()


class Answering(asyncio.Protocol):
    """One connection: answers each request when it has ended."""

    _transport: Any

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._rest = b""
        self._is_begun = False
        self._decoder = hpack.Decoder()
        self._blocks_read = 0
        self._partial: dict[bytes, bytes] = {}
        self._received_bytes = 0
        self._answers = _Answers()
        self._unsent: deque[bytes] = deque()
        self._window = _DEFAULT_WINDOW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the windows as wide as they go."""
        self._transport = transport
        settings = _INITIAL_WINDOW_SIZE.to_bytes(2, "big") + _word(_LARGEST_WINDOW)
        refill = _word(_LARGEST_WINDOW - _DEFAULT_WINDOW)
        self._transport.write(_frame(_SETTINGS, 0, settings) + _frame(_WINDOW_UPDATE, 0, refill))

    def data_received(self, data: bytes) -> None:
        """Answers what is complete, in one write."""
        if self._rest:
            data = self._rest + data
        if not self._is_begun and len(data) >= len(_PREFACE):
            data, self._is_begun = data[len(_PREFACE) :], True
        at = 0
        out: list[bytes] = []
        while self._is_begun and at + _HEAD_BYTES <= len(data):
            begin = at + _HEAD_BYTES
            end = begin + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
            if end > len(data):
                break
            self._on_frame(data[at + 3], data[at + 4], data[at + 5 : begin], data[begin:end], out)
            at = end
        self._rest = data[at:]
        if self._received_bytes > _REFILL_BYTES:
            out.append(_frame(_WINDOW_UPDATE, 0, _word(self._received_bytes)))
            self._received_bytes = 0
        if out:
            self._transport.write(b"".join(out))

    def _on_frame(
        self, kind: int, flags: int, stream: bytes, payload: bytes, out: list[bytes]
    ) -> None:
        if kind == _DATA:
            self._on_data(flags, stream, payload)
        elif kind == _HEADERS:
            if self._blocks_read < _READ_BLOCKS:
                self._read_block(flags, payload)
        elif kind == _WINDOW_UPDATE:
            if stream == _CONNECTION:
                self._window += int.from_bytes(payload, "big")
                self._send(out)
            return
        elif kind == _SETTINGS and not flags & _ACK:
            self._answers.on_settings(payload)
            out.append(_frame(_SETTINGS, _ACK))
            return
        elif kind == _PING and not flags & _ACK:
            out.append(_frame(_PING, _ACK, payload))
            return
        else:
            return
        if flags & _END_STREAM:
            self._unsent.append(self._answers.to(stream, self._backend.answer))
            self._send(out)

    def _on_data(self, flags: int, stream: bytes, payload: bytes) -> None:
        self._received_bytes += len(payload)
        if self._partial:
            payload = self._partial.pop(stream, b"") + payload
        if flags & _END_STREAM:
            self._backend.requests.add(payload[_GRPC_HEAD_BYTES:])
        else:
            self._partial[stream] = payload

    def _read_block(self, flags: int, payload: bytes) -> None:
        assert flags & _END_HEADERS, "a header block takes more than one frame"
        assert not flags & _PADDED, "a header block is padded"
        block = payload[5:] if flags & _PRIORITY else payload
        fields: dict[Any, Any] = dict(self._decoder.decode(block))
        self._backend.paths.add(fields[":path"])
        self._blocks_read += 1

    def _send(self, out: list[bytes]) -> None:
        """Sends what the connection's window lets through; one answer is less than a stream's."""
        while self._unsent and self._window >= self._answers.data_bytes:
            self._window -= self._answers.data_bytes
            out.append(self._unsent.popleft())


class _Answers:
    """Makes answers: all frames of one are made once, but for the number of the stream."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._stream_window = _DEFAULT_WINDOW
        self._message = b""
        self._made = 0
        self._pieces: tuple[bytes, ...] = ()
        self.data_bytes = 0

    def on_settings(self, payload: bytes) -> None:
        """Takes the settings of the peer."""
        for at in range(0, len(payload), 6):
            key, value = payload[at : at + 2], int.from_bytes(payload[at + 2 : at + 6], "big")
            if int.from_bytes(key, "big") == _INITIAL_WINDOW_SIZE:
                self._stream_window = value
            elif int.from_bytes(key, "big") == _HEADER_TABLE_SIZE:
                # RFC 7541 section 4.2: no larger than the peer has room for.
                self._encoder.header_table_size = min(value, self._encoder.header_table_size)

    def to(self, stream: bytes, message: bytes) -> bytes:
        """Gives the frames that answer a request."""
        if self._made < _ALIKE or message is not self._message:
            self._make(message)
        return stream.join(self._pieces)

    def _make(self, message: bytes) -> None:
        self._message = message
        self._made += 1
        framed = b"\0" + _word(len(message)) + message
        self.data_bytes = len(framed)
        assert self.data_bytes <= min(_MAX_FRAME_BYTES, self._stream_window)
        head = _frame(_HEADERS, _END_HEADERS, self._encoder.encode(_RESPONSE, huffman=False))
        data = _frame(_DATA, 0, framed)
        last = self._encoder.encode(_TRAILERS, huffman=False)
        last = _frame(_HEADERS, _END_HEADERS | _END_STREAM, last)
        self._pieces = (head[:5], head[9:] + data[:5], data[9:] + last[:5], last[9:])


def _frame(kind: int, flags: int, payload: bytes = b"") -> bytes:
    """Writes a frame of the connection's own (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + _CONNECTION + payload


def _word(number: int) -> bytes:
    return number.to_bytes(4, "big")
