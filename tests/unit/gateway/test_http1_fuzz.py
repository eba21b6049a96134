"""Whatever bytes come, and however they are cut, a connection answers as HTTP says or refuses."""

import asyncio
import re
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http1.connection import Connection
from gateway.http1.endpoint import Endpoint
from gateway.http1.limits import Limits
from gateway.transcoding.http import HttpRequest, HttpResponse

REFUSALS: Final = {400, 408, 413, 414, 417, 431, 501, 503, 505}
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")

PIECES = st.sampled_from(
    [b"GET", b"POST", b"PURGE", b"HEAD", b"PRI", b" ", b"\t", b"/", b"/a?b=c", b"*", b"http://a/b",
     b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"host: a\r\n",
     b"host: b\r\n", b"content-length: 3\r\n", b"content-length: -1\r\n",
     b"content-length: 3, 3\r\n", b"transfer-encoding: chunked\r\n",
     b"transfer-encoding: gzip, chunked\r\n", b"te: trailers\r\n", b"connection: close\r\n",
     b"connection: keep-alive\r\n", b"expect: 100-continue\r\n", b" x: y\r\n", b"x : y\r\n",
     b"x: \x00\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nhost: c\r\n\r\n", b"fffffffff\r\n",
     b"abc", b"\x00", b"\xff", b"upgrade: h2c\r\n"]
)  # fmt: skip
REQUESTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"HEAD /h HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /old HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"PURGE /own-method HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        b"POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]
)
CUTS = st.lists(st.integers(1, 40), max_size=30)


class Wire(asyncio.Transport):
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps it."""
        self.written += data

    def is_closing(self) -> bool:
        """Says whether the connection was closed."""
        return self._is_closing

    def close(self) -> None:
        """Takes no more."""
        self._is_closing = True

    abort = close

    def can_write_eof(self) -> bool:
        """Can be closed by halves."""
        return True

    def write_eof(self) -> None:
        """Is closed by one half."""

    def pause_reading(self) -> None:
        """Goes on: what was sent is there."""

    def resume_reading(self) -> None:
        """Never stopped."""

    def get_write_buffer_size(self) -> int:
        """Has sent everything."""
        return 0


def spoken(data: bytes, cuts: list[int]) -> tuple[list[tuple[str, str]], list[int]]:
    """Sends bytes in pieces of these lengths; gives the requests seen and the answers' statuses."""
    seen: list[tuple[str, str]] = []

    def handler(request: HttpRequest) -> HttpResponse:
        seen.append((request.method, request.path))
        return HttpResponse(status=200, body=b"ok")

    endpoint, wire = Endpoint(handler, Limits()), Wire()
    connection = Connection(endpoint)
    connection.connection_made(wire)
    for length in (*cuts, len(data)):
        piece, data = data[:length], data[length:]
        if piece and not wire.is_closing():
            connection.data_received(piece)
    connection.connection_lost(None)
    assert not endpoint.peers
    return seen, [int(status) for status in _STATUS.findall(wire.written)]


@settings(max_examples=400)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=14).map(b"".join), CUTS)
@example(
    b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", []
)
@example(b"GET / HTTP/1.1\nhost: a\n\n", [3])
def test_any_bytes_are_requests_or_refused(data, cuts):
    """Bytes of any kind end in answers to what was seen, and at most one refusal, the last."""
    seen, statuses = spoken(data, cuts)
    assert len(seen) == statuses.count(200)
    others = [status for status in statuses if status not in (100, 200)]
    assert len(others) <= 1
    assert REFUSALS >= set(others)
    assert not others or statuses[-1] == others[0]


@settings(max_examples=300)
@given(st.lists(REQUESTS, min_size=1, max_size=4), CUTS)
def test_how_requests_are_cut_changes_nothing(requests, cuts):
    """The same bytes are the same requests, whatever packets they come in."""
    data = b"".join(requests)
    whole = spoken(data, [])
    assert whole == spoken(data, cuts)
    assert [200] * len(requests) == whole[1]


@settings(max_examples=300)
@given(
    REQUESTS,
    st.integers(0, 200),
    PIECES | st.binary(min_size=1, max_size=3),
    st.booleans(),
    CUTS,
)
def test_a_damaged_request_hides_no_other(request_bytes, at, damage, replaces, cuts):
    """Nobody sees a request that a strict parser does not: what is damaged smuggles nothing in."""
    at %= len(request_bytes)
    rest = request_bytes[at + (len(damage) if replaces else 0) :]
    data = request_bytes[:at] + damage + rest
    seen, _ = spoken(data, cuts)
    assert len(seen) <= _strictly(data)


def _strictly(data: bytes) -> int:
    """Counts the requests whose header is complete, each after an empty line."""
    return len(re.findall(rb"\r\n\r\n", data))
