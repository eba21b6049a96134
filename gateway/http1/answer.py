"""Writes answers: what is the same in all of them is rendered once.

    HTTP/1.1 200 OK
    date: Mon, 23 Nov 2026 18:00:00 GMT
    <the handler's fields>
    content-length: 290 | transfer-encoding: chunked
    connection: close | keep-alive      where it is not what the client expects

The date is as exact as the clock that all connections share.
"""

from functools import cache
from http import HTTPStatus
from typing import Final

from gateway.transcoding.errors import Headers
from gateway.transcoding.http import HttpResponse

_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

# Answers that end with their header (RFC 9110 sections 15.3.5 and 15.4.5).
_BODILESS: Final = frozenset({204, 304})

_FIRST_FINAL: Final = 200
_LAST: Final = 599


class NotSendable(Exception):
    """The handler's answer is none of HTTP's; a line break in a field would begin another one."""


@cache
def status_line(status: int) -> bytes:
    """Gives the first line of an answer. Raises NotSendable for what is no final status."""
    if not _FIRST_FINAL <= status <= _LAST:
        raise NotSendable(f"status {status}")
    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


def chunk(data: bytes) -> bytes:
    """Frames a piece of a body (RFC 9112 section 7.1). It must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(
    first_lines: bytes,
    response: HttpResponse,
    body: bytes,
    *,
    is_head: bool,
    is_last: bool,
    is_1_1: bool,
) -> bytes:
    """Writes an answer whose body is known. Raises NotSendable."""
    if response.status in _BODILESS:
        framing = body = b""
    else:
        framing = b"content-length: %d\r\n" % len(body)
    if is_last or not is_1_1:
        framing += _persistence(is_last=is_last)
    return _written(first_lines, response.headers, framing, b"" if is_head else body)


def beginning(first_lines: bytes, response: HttpResponse, *, is_last: bool, is_1_1: bool) -> bytes:
    """Writes the header of an answer whose body comes in chunks. Raises NotSendable.

    A client of HTTP/1.0 knows no chunks: the body ends with the connection.
    """
    framing = _CHUNKED if is_1_1 else b""
    if is_last:
        framing += _persistence(is_last=True)
    return _written(first_lines, response.headers, framing, b"")


def _written(first_lines: bytes, fields: Headers, framing: bytes, body: bytes) -> bytes:
    """Writes a header and a body: status line and date, the handler's fields, lines of framing.

    Raises NotSendable if a field would not arrive as one.
    """
    lines: list[bytes] = []
    for name, value in fields:
        lines += (name, b": ", value, b"\r\n")
    written = b"".join(lines)
    # One look at all fields costs less than one at each of them.
    if written.count(b"\n") != len(fields) or written.count(b"\r") != len(fields):
        raise NotSendable("a header field has a line break")
    # Not `in`, which tries at first whether the text is a number, and costs ten times as much.
    if written.find(b"\0") >= 0:
        raise NotSendable("a header field has a NUL")
    return b"".join((first_lines, written, framing, b"\r\n", body))


def _persistence(*, is_last: bool) -> bytes:
    # RFC 9112 section 9.3: to stay has to be said to a client of HTTP/1.0, to leave to all.
    return b"connection: close\r\n" if is_last else b"connection: keep-alive\r\n"
