"""Splits a body into JSON texts: NDJSON, one value a line; or one array, element by element.

What is in a text is read later; here only brackets, strings and line breaks count. However small
the pieces a body comes in, each byte is looked at once.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from gateway.transcoding.errors import refuse, too_large

_STRUCTURE: Final = re.compile(rb'["\[\]{},]')
_STRING_END: Final = re.compile(rb'["\\]')
_OPENING: Final = b"[{"
_SPACE: Final = b" \t\r\n"


async def read_values(chunks: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[bytes]:
    """Gives the text of each value as it comes.

    Raises StatusError for a value above the limit, and for what cannot be split.
    """
    splitter: _Lines | _Elements | None = None
    async for piece in chunks:
        chunk = piece if splitter is not None else piece.lstrip(_SPACE)
        if not chunk:
            continue
        if splitter is None:
            splitter = _Elements(limit_bytes) if chunk.startswith(b"[") else _Lines(limit_bytes)
        for text in splitter.feed(chunk):
            yield text
    if splitter is not None:
        for text in splitter.finish():
            yield text


class _Lines:
    """Splits NDJSON. Empty lines are skipped."""

    def __init__(self, limit_bytes: int) -> None:
        self._buffer = bytearray()
        self._limit = limit_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        scanned, start = len(self._buffer), 0
        self._buffer += chunk
        found: list[bytes] = []
        while (end := self._buffer.find(b"\n", max(start, scanned))) >= 0:
            self._check(end - start)
            line = bytes(self._buffer[start:end])
            if line.strip(_SPACE):
                found.append(line)
            start = end + 1
        del self._buffer[:start]
        self._check(len(self._buffer))
        return found

    def finish(self) -> list[bytes]:
        rest = bytes(self._buffer)
        return [rest] if rest.strip(_SPACE) else []

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._limit:
            raise too_large("a line", self._limit)


class _Elements:
    """Splits one array. The first byte is its opening bracket."""

    def __init__(self, limit_bytes: int) -> None:
        self._buffer = bytearray()
        self._at = 1
        """Where to look on."""
        self._start = 1
        """Where the element under way begins."""
        self._limit = limit_bytes
        self._depth = 0
        self._in_string = self._is_closed = False
        self._count = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        self._buffer += chunk
        found: list[bytes] = []
        while not self._is_closed and self._advance(found):
            pass
        del self._buffer[: self._start]
        self._at -= self._start
        self._start = 0
        if self._is_closed:
            if self._buffer.strip(_SPACE):
                raise refuse("", "there is more after the array")
            self._buffer.clear()
        self._check(len(self._buffer))
        return found

    def finish(self) -> list[bytes]:
        if not self._is_closed:
            raise refuse("", "the array is not closed")
        return []

    def _advance(self, found: list[bytes]) -> bool:
        """Goes to the next byte that counts; says whether there is one."""
        pattern = _STRING_END if self._in_string else _STRUCTURE
        mark = pattern.search(self._buffer, self._at)
        if mark is None:
            self._at = len(self._buffer)
            return False
        byte = mark[0]
        if byte == b"\\":
            if mark.end() == len(self._buffer):
                # What it escapes has yet to come.
                self._at = mark.start()
                return False
            self._at = mark.end() + 1
            return True
        self._at = mark.end()
        if byte == b'"':
            self._in_string = not self._in_string
        elif byte in _OPENING:
            self._depth += 1
        elif self._depth == 0:
            self._end(byte, found)
        elif byte != b",":
            self._depth -= 1
        return True

    def _end(self, byte: bytes, found: list[bytes]) -> None:
        text = bytes(self._buffer[self._start : self._at - 1])
        self._start = self._at
        self._is_closed = byte == b"]"
        if byte == b"}":
            raise refuse("", "a bracket closes nothing")
        if not text.strip(_SPACE):
            if self._is_closed and self._count == 0:
                return
            raise refuse("", "an element is missing")
        self._check(len(text))
        self._count += 1
        found.append(text)

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._limit:
            raise too_large("an element", self._limit)
