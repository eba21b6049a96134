"""Reads requests from bytes, without I/O: heads by llhttp in its strict mode, bodies after them.

    feed(data) -> read_head() -> read_body() until is_complete -> read_head() ..

A head is handed to llhttp when it has arrived in full, and a body no further than it can reach:
so every request begins in this module's sight. That lets it take methods that llhttp does not
know, keep offers of an upgrade that nobody takes up from changing how a body is framed, and check
sizes in one place.
"""

import re
from collections.abc import Mapping
from typing import Final

import httptools

from gateway.http1 import refusal, request_target
from gateway.http1.limits import Limits
from gateway.transcoding.errors import Headers

_END: Final = b"\r\n\r\n"
_END_SIZE: Final = len(_END)
_LINE_END: Final = b"\r\n"
_CARRIAGE_RETURN: Final = _LINE_END[0]
_USUAL: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
_METHODS: Final = {method.encode(): method for method in _USUAL}
_HTTP_1_1: Final = b"HTTP/1.1"
_HTTP_1_0: Final = b"HTTP/1.0"
# The longest request line is a target, a method and a version.
_LINE_SLACK: Final = 64
# A chunk of one byte has five more; one that has more than eight is mostly something else.
_OVERHEAD_PER_BYTE: Final = 8
_CHUNKED: Final = -1

_is_method = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}").fullmatch
_could_begin = re.compile(rb"\r\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: [ -~]*)?(?:\r|\Z)").match
_is_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_has_bare_line_feed = re.compile(rb"(?<!\r)\n").search
_empty_lines = re.compile(rb"\A(?:\r\n)+")
_upgrade_name = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)


class RequestReader:
    """Reads the requests of a connection, one after the other.

    Of the present request: `method`, `path`, `query`, `headers` and their `names`; `is_complete`
    once all of its body has been read; `is_keep_alive` if another may follow; `is_1_1` if not
    HTTP/1.0; and
    `wants_websocket` if it offers to become one.
    """

    __slots__ = (
        "_body_bytes",
        "_buffer",
        "_fed_bytes",
        "_fields",
        "_left",
        "_limits",
        "_parser",
        "_pieces",
        "_searched",
        "headers",
        "is_1_1",
        "is_complete",
        "is_keep_alive",
        "method",
        "names",
        "path",
        "query",
        "wants_websocket",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._searched = 0
        self._fields: Headers = []
        self._pieces: list[bytes] = []
        self._left = self._fed_bytes = self._body_bytes = 0
        self.method = self.path = self.query = ""
        self.headers: Headers = []
        self.names: Mapping[bytes, bytes] = {}
        self.is_complete = self.is_keep_alive = self.is_1_1 = True
        self.wants_websocket = False
        self._parser = httptools.HttpRequestParser(self)

    @property
    def buffered_bytes(self) -> int:
        """How much has arrived that has not been read."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what has arrived."""
        self._buffer = self._buffer + data if self._buffer else data

    def close(self) -> None:
        """Lets go of the parser, which refers back to the reader."""
        del self._parser

    def take_rest(self) -> bytes:
        """Gives what came after the last request, for whoever takes the connection over."""
        rest, self._buffer = self._buffer, b""
        return rest

    def read_head(self) -> bool:
        """Reads the next request up to its body, if that much has arrived. Raises Refusal."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer[0] == _CARRIAGE_RETURN:
            # RFC 9112 section 2.2: empty lines before a request are ignored.
            self._buffer = buffer = _empty_lines.sub(b"", buffer)
            self._searched = 0
        end = buffer.find(_END, self._searched) + _END_SIZE
        if end < _END_SIZE:
            if buffer:
                self._check_beginning(buffer)
                self._searched = max(0, len(buffer) - _END_SIZE + 1)
            return False
        self._searched = 0
        if end == len(buffer):
            self._buffer = b""
            self._read(buffer)
        else:
            self._buffer = buffer[end:]
            self._read(buffer[:end])
        return True

    def _check_beginning(self, buffer: bytes) -> None:
        """Refuses what cannot become a head any more, rather than waiting for its end."""
        line_end = buffer.find(_LINE_END)
        if line_end < 0 and len(buffer) > self._limits.target_bytes + _LINE_SLACK:
            raise refusal.target_too_long()
        if len(buffer) - max(line_end, 0) > self._limits.header_bytes + _END_SIZE:
            raise refusal.header_too_large()
        if _could_begin(buffer) is None or _has_bare_line_feed(buffer):
            raise refusal.malformed()

    def _read(self, head: bytes) -> None:
        line_end = head.find(_LINE_END)
        if len(head) > self._limits.target_bytes:
            self._check_size(line_end, len(head))
        try:
            token, target, version = head[:line_end].split(b" ")
        except ValueError:
            raise refusal.malformed("the request line") from None
        self.is_1_1 = version == _HTTP_1_1
        if not self.is_1_1 and version != _HTTP_1_0:
            raise refusal.version_not_supported() if _is_version(version) else refusal.malformed()
        method = _METHODS.get(token)
        if method is None:
            method = _custom_method(token)
            # llhttp knows a list of methods. None of them but CONNECT changes how it reads.
            head = b"GET" + head[len(token) :]
        self.method = method
        self._parse(head)
        self._check_host()
        self.path, self.query, authority = request_target.read(target, method)
        if authority is not None:
            self.headers = [item for item in self.headers if item[0] != b"host"]
            self.headers.append((b"host", authority))
        if not self.is_complete:
            self._begin_body()

    def _check_size(self, line_end: int, size: int) -> None:
        if line_end > self._limits.target_bytes + _LINE_SLACK:
            raise refusal.target_too_long()
        if size - line_end > self._limits.header_bytes:
            raise refusal.header_too_large()

    def _parse(self, head: bytes) -> None:
        self._start()
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self.wants_websocket = self._is_websocket()
            if not self.wants_websocket:
                # RFC 9110 section 7.8: an offer of anything else is ignored. llhttp would take the
                # request's body for what comes after the upgrade.
                self._start()
                self._parser = httptools.HttpRequestParser(self)
                self._feed(_upgrade_name.sub(b"upgrade-ignored", head))
        except httptools.HttpParserError:
            raise refusal.malformed() from None
        if len(self.headers) > self._limits.header_fields:
            raise refusal.header_too_large()

    def _start(self) -> None:
        self.headers = self._fields = []
        self.is_complete = self.wants_websocket = False

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            raise refusal.malformed() from None

    def _is_websocket(self) -> bool:
        offers = [value.lower() for name, value in self.headers if name == b"upgrade"]
        has_body = any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        )
        return offers == [b"websocket"] and self.method == "GET" and self.is_1_1 and not has_body

    def _check_host(self) -> None:
        headers = self.headers
        self.names = names = dict(headers)
        host = names.get(b"host")
        # RFC 9112 section 3.2: exactly one in HTTP/1.1.
        is_wrong = self.is_1_1 if host is None else not request_target.is_host(host)
        if len(names) < len(headers) and [name for name, _ in headers].count(b"host") > 1:
            is_wrong = True
        if is_wrong:
            raise refusal.malformed("the Host field")

    def _begin_body(self) -> None:
        # Fields of a trailer go where nobody looks: they must not pass for fields of the header.
        self._fields = []
        self._fed_bytes = self._body_bytes = 0
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if not codings:
            self._left = next(int(v) for name, v in self.headers if name == b"content-length")
            return
        if not self.is_1_1:
            # RFC 9112 section 6.1: framing that HTTP/1.0 has not, from whoever forwarded it.
            raise refusal.malformed()
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise refusal.not_implemented("the transfer coding")
        self._left = _CHUNKED

    @property
    def missing_bytes(self) -> int | None:
        """How much of the body is still to be read; None if nobody knows."""
        return None if self._left == _CHUNKED else self._left

    def read_body(self) -> bytes:
        """Reads what has arrived of the body. Raises Refusal."""
        if self._left == _CHUNKED:
            self._read_chunks()
        else:
            data = self._buffer[: self._left]
            self._buffer = self._buffer[len(data) :]
            self._left -= len(data)
            self._feed(data)
        pieces = self._pieces
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def _read_chunks(self) -> None:
        # The last chunk and its trailer end with an empty line: up to there nothing can belong to
        # the next request.
        while self._buffer and not self.is_complete:
            end = self._buffer.find(_END) + _END_SIZE
            if end < _END_SIZE:
                end = len(self._buffer) - _begun_end(self._buffer)
                if end == 0:
                    return
            data, self._buffer = self._buffer[:end], self._buffer[end:]
            self._feed(data)
            self._fed_bytes += len(data)
            overhead = self._fed_bytes - self._body_bytes
            if overhead > self._limits.header_bytes + _OVERHEAD_PER_BYTE * self._body_bytes:
                raise refusal.header_too_large()

    # What llhttp calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field of the header, or of a trailer."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Takes the end of the header."""
        self.is_keep_alive = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """Takes a piece of the body."""
        self._pieces.append(piece)
        self._body_bytes += len(piece)

    def on_message_complete(self) -> None:
        """Takes the end of the request."""
        self.is_complete = True


def _custom_method(token: bytes) -> str:
    if token == b"CONNECT":
        raise refusal.not_implemented("CONNECT")
    if _is_method(token) is None:
        raise refusal.malformed("the method")
    return token.decode()


def _begun_end(data: bytes) -> int:
    """Counts the bytes at the end of `data` with which an empty line may have begun."""
    return next((size for size in (3, 2, 1) if data.endswith(_END[:size])), 0)
