"""Takes and gives compressed bodies (RFC 9110 section 8.4): gzip."""

import zlib
from collections.abc import Iterator
from typing import Final

from gateway.transcoding.errors import Headers, StatusError, refuse
from gateway.transcoding.http import HttpResponse, header

# What a gzip header announces to zlib's window setting.
_GZIP: Final = 16 + zlib.MAX_WBITS
_PIECE_BYTES: Final = 64 * 1024
_MIN_BYTES: Final = 1024
_FASTEST: Final = 1
# RFC 9110 section 8.4.1.3: a recipient takes x-gzip as gzip.
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})


class Inflater:
    """Decompresses a request body piece by piece."""

    def __init__(self, headers: Headers) -> None:
        """Raises StatusError for a coding that is not known."""
        coding = (header(headers, b"content-encoding") or "identity").strip().lower()
        if coding not in {"identity", *_GZIP_NAMES}:
            raise _unsupported(coding)
        self._zlib = zlib.decompressobj(_GZIP) if coding in _GZIP_NAMES else None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacks a chunk, in pieces of bounded size. Raises StatusError if it is not gzip."""
        if self._zlib is None:
            yield chunk
            return
        try:
            while chunk:
                yield self._zlib.decompress(chunk, _PIECE_BYTES)
                chunk = self._zlib.unconsumed_tail
        except zlib.error:
            raise refuse("content-encoding", "the body is not gzip") from None
        if self._zlib.unused_data:
            raise refuse("content-encoding", "there is more after the gzip stream")

    def finish(self) -> None:
        """Raises StatusError if the compressed body ended too early."""
        if self._zlib is not None and not self._zlib.eof:
            raise refuse("content-encoding", "the gzip stream is cut off")


def _unsupported(coding: str) -> StatusError:
    error = refuse("content-encoding", f"{coding} is not supported", http_status=415)
    error.headers = (*error.headers, (b"accept-encoding", b"gzip"))
    return error


def compress(response: HttpResponse, request_headers: Headers) -> None:
    """Compresses an answer in place where the client accepts it and it is worth it."""
    body = response.body
    if not isinstance(body, bytes) or len(body) < _MIN_BYTES:
        return
    response.headers.append((b"vary", b"accept-encoding"))
    if not _accepts_gzip(header(request_headers, b"accept-encoding") or ""):
        return
    packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    response.body = packer.compress(body) + packer.flush()
    response.headers.append((b"content-encoding", b"gzip"))


def _accepts_gzip(accept_encoding: str) -> bool:
    for item in accept_encoding.split(","):
        coding, _, weight = item.partition(";")
        if coding.strip().lower() in {*_GZIP_NAMES, "*"}:
            return (
                weight.replace(" ", "").lower().removeprefix("q=").strip("0.") != "" or not weight
            )
    return False
