"""The HTTP/1.1 client of `gateway.py`: so many connections, each with one request under way.

Every answer is compared with the expected one, byte for byte but for its header fields, of which
only the status counts: whoever answers wrongly does not win. A refusal for want of room (429, 503)
is counted apart, and the next request follows at once.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

_END_OF_HEADER: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 "
_REFUSED: Final = (b"HTTP/1.1 429 ", b"HTTP/1.1 503 ")
_content_length: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE).search
_ANSWER_SECONDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, which is sent again and again."""

    method: str
    target: str
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Writes the request as browsers and HTTP libraries do, with few header fields."""
        fields = ["Host: 127.0.0.1", "User-Agent: bench", "Accept: */*"]
        if self.body:
            fields += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        header = "\r\n".join((f"{self.method} {self.target} HTTP/1.1", *fields))
        return header.encode() + _END_OF_HEADER + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn has measured."""

    seconds: float
    latencies: list[float]
    """In seconds, sorted."""
    refused: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Gives the latency, in seconds, that `share` of the requests did not exceed."""
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)]


class WrongAnswer(Exception):
    """An answer is not the expected one."""


class _Client(asyncio.Protocol):
    """A connection."""

    _transport: Any

    def __init__(self, request: bytes, expected: bytes) -> None:
        self._request = request
        self._expected = expected
        self._rest = b""
        self._sent = 0.0
        self.is_stopping = False
        self.latencies: list[float] = []
        self.refused = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        begin = data.find(_END_OF_HEADER) + len(_END_OF_HEADER)
        if begin < len(_END_OF_HEADER):
            self._rest = data
        elif data.startswith(_OK):
            self._on_answer(data, begin)
        else:
            self._on_refusal(data, begin)

    def _on_answer(self, data: bytes, begin: int) -> None:
        if len(data) - begin < len(self._expected):
            self._rest = data
            return
        self.latencies.append(time.perf_counter() - self._sent)
        if data[begin:] == self._expected:
            self._next()
        else:
            self._fail(f"expected {self._expected!r}, not {data!r}")

    def _on_refusal(self, data: bytes, begin: int) -> None:
        length = _content_length(data)
        if length is None or not data.startswith(_REFUSED):
            self._fail(f"expected {self._expected!r}, not {data!r}")
        elif len(data) - begin < int(length[1]):
            self._rest = data
        else:
            self.refused += 1
            self._next()

    def _next(self) -> None:
        self._rest = b""
        if self.is_stopping:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_stopping:
            self._fail(f"the connection ended: {exc}, {self._rest!r}")
        elif not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, message: str) -> None:
        self._transport.close()
        if not self.ended.done():
            self.ended.set_exception(WrongAnswer(message))


@dataclass(frozen=True, slots=True)
class Load:
    """Connections that ask without a pause."""

    _clients: list[_Client]

    async def warm(self, seconds: float) -> None:
        """Lets time pass, until each connection has an answer. Raises WrongAnswer, TimeoutError."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._pass(seconds)
            while not all(client.latencies or client.refused for client in self._clients):
                await self._pass(seconds)

    async def measure(self, seconds: float) -> Turn:
        """Measures for so long. Raises WrongAnswer, TimeoutError."""
        for client in self._clients:
            client.latencies.clear()
            client.refused = 0
        begin = time.perf_counter()
        await self._pass(seconds)
        passed = time.perf_counter() - begin
        latencies = sorted(each for client in self._clients for each in client.latencies)
        if not latencies:
            raise TimeoutError(f"no answer within {seconds} s")
        refused = sum(client.refused for client in self._clients)
        return Turn(seconds=passed, latencies=latencies, refused=refused)

    async def stop(self) -> None:
        """Ends every connection after its next answer. Raises WrongAnswer, TimeoutError."""
        for client in self._clients:
            client.is_stopping = True
        async with asyncio.timeout(_ANSWER_SECONDS):
            await asyncio.gather(*(client.ended for client in self._clients))

    async def _pass(self, seconds: float) -> None:
        ended = [client.ended for client in self._clients]
        done, _ = await asyncio.wait(ended, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()


async def start(port: int, request: Request, expected: bytes, connections: int) -> Load:
    """Connects and begins to ask; `expected` is the body of every answer. Raises OSError."""
    loop = asyncio.get_running_loop()
    message = request.to_bytes()
    clients = [_Client(message, expected) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(partial(_itself, client), "127.0.0.1", port)
    return Load(clients)


def _itself(client: _Client) -> _Client:
    return client
