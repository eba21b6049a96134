"""Packs and unpacks by the content codings of HTTP (RFC 9110 section 8.4.1).

    gzip   RFC 1952     by the standard library
    br     RFC 7932     by `brotli`, loaded when first asked for
    zstd   RFC 8878     by `compression.zstd` or its backport, likewise

Levels and windows are those that gave most for their time. A page of 50 products, 15,600 bytes:

    zstd 3   3,540 bytes   56 µs
    br 3     3,860         72
    gzip 2   4,100         50
"""

import importlib
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

PIECE_BYTES: Final = 64 * 1024
"""About how much is unpacked at a time, however small what it comes from."""

# What a gzip header announces to zlib's window setting.
_GZIP: Final = 16
# The window and the memory of 8 KiB each: what zlib takes by default costs a short answer more time
# to set up than to pack.
_GZIP_SMALL: Final = (_GZIP + 13, 6)
_GZIP_LEVEL: Final = 2
_BROTLI_QUALITY: Final = 3
_BROTLI_WINDOW_LOG: Final = 16
_ZSTD_LEVEL: Final = 3
# RFC 9659: what a client of HTTP must be able to hold, and so what it may use.
_ZSTD_WINDOW_LOG: Final = 23
_ZSTD_PACKING_WINDOW_LOG: Final = 17


class BadCoding(ValueError):
    """The bytes are not what their coding says. The message is safe to show."""


class Decoder(Protocol):
    """Unpacks one body."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacks a piece of the body, in pieces of bounded size. Raises BadCoding."""

    def finish(self) -> None:
        """Raises BadCoding if the body ended too early."""


class Encoder(Protocol):
    """Packs one body."""

    def feed(self, data: bytes) -> bytes:
        """Packs more. What it gives may lag behind."""

    def finish(self) -> bytes:
        """Ends the body."""


class FlushingGzip:
    """Packs a stream of messages by gzip so that each can be read when it comes.

    Takes 32 KiB for as long as the stream is open.
    """

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP + 12, 5)

    def feed(self, data: bytes) -> bytes:
        """Packs a message, to its end."""
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """Ends the stream."""
        return self._packer.flush()


class _GzipDecoder:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            # At the end, what comes after it may stand in `unconsumed_tail`, too, and stay there.
            while chunk and not self._zlib.eof:
                yield self._zlib.decompress(chunk, PIECE_BYTES)
                chunk = self._zlib.unconsumed_tail
        except zlib.error:
            raise BadCoding("is not gzip") from None
        if chunk or self._zlib.unused_data:
            raise BadCoding("goes on after its end")

    def finish(self) -> None:
        if not self._zlib.eof:
            raise BadCoding("is cut off")


class _BrotliDecoder:
    def __init__(self) -> None:
        module = _brotli()
        self._brotli = module.Decompressor()
        self._error: type[Exception] = module.error

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            piece = self._brotli.process(chunk, output_buffer_limit=PIECE_BYTES)
            yield piece
            # A full piece may not be all there is, even when all of the input is taken.
            while len(piece) >= PIECE_BYTES or not self._brotli.can_accept_more_data():
                piece = self._brotli.process(b"", output_buffer_limit=PIECE_BYTES)
                yield piece
        except self._error:
            raise BadCoding("is not brotli, or goes on after its end") from None

    def finish(self) -> None:
        if not self._brotli.is_finished():
            raise BadCoding("is cut off")


class _ZstdDecoder:
    def __init__(self) -> None:
        module = _zstd()
        window = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._zstd = module.ZstdDecompressor(options=window)
        self._error: type[Exception] = module.ZstdError

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._zstd.eof:
            raise BadCoding("goes on after its end")
        try:
            yield self._zstd.decompress(chunk, max_length=PIECE_BYTES)
            while not self._zstd.needs_input and not self._zstd.eof:
                yield self._zstd.decompress(b"", max_length=PIECE_BYTES)
        except self._error:
            raise BadCoding("is not zstd, or wants a window of more than 8 MiB") from None
        if self._zstd.eof and self._zstd.unused_data:
            raise BadCoding("goes on after its end")

    def finish(self) -> None:
        if not self._zstd.eof:
            raise BadCoding("is cut off")


class _GzipEncoder:
    def __init__(self) -> None:
        window, memory = _GZIP_SMALL
        self._packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, window, memory)

    def feed(self, data: bytes) -> bytes:
        return self._packer.compress(data)

    def finish(self) -> bytes:
        return self._packer.flush()


class _BrotliEncoder:
    def __init__(self) -> None:
        self._packer = _brotli().Compressor(quality=_BROTLI_QUALITY, lgwin=_BROTLI_WINDOW_LOG)

    def feed(self, data: bytes) -> bytes:
        packed: bytes = self._packer.process(data)
        return packed

    def finish(self) -> bytes:
        packed: bytes = self._packer.finish()
        return packed


class _ZstdEncoder:
    def __init__(self) -> None:
        module = _zstd()
        level, window = (
            module.CompressionParameter.compression_level,
            module.CompressionParameter.window_log,
        )
        self._packer = module.ZstdCompressor(
            options={level: _ZSTD_LEVEL, window: _ZSTD_PACKING_WINDOW_LOG}
        )

    def feed(self, data: bytes) -> bytes:
        packed: bytes = self._packer.compress(data)
        return packed

    def finish(self) -> bytes:
        packed: bytes = self._packer.flush()
        return packed


def _brotli() -> Any:
    return importlib.import_module("brotli")


def _zstd() -> Any:
    has_it = sys.version_info >= (3, 14)
    return importlib.import_module("compression.zstd" if has_it else "backports.zstd")


_DECODERS: Final[dict[str, Callable[[], Decoder]]] = {
    "zstd": _ZstdDecoder,
    "br": _BrotliDecoder,
    "gzip": _GzipDecoder,
    # RFC 9110 section 8.4.1.3: a recipient takes x-gzip as gzip.
    "x-gzip": _GzipDecoder,
}
_ENCODERS: Final[dict[str, Callable[[], Encoder]]] = {
    "zstd": _ZstdEncoder,
    "br": _BrotliEncoder,
    "gzip": _GzipEncoder,
}

NAMES: Final = tuple(_ENCODERS)
"""The codings, the one that gives most for its time first."""


def decoder(coding: str) -> Decoder | None:
    """Makes what unpacks a body; None for a coding that is not known."""
    make = _DECODERS.get(coding)
    return None if make is None else make()


def encoder(coding: str) -> Encoder:
    """Makes what packs a body. Raises KeyError for a coding that is not known."""
    return _ENCODERS[coding]()


def packed(coding: str, data: bytes) -> bytes:
    """Packs a whole body. Raises KeyError for a coding that is not known."""
    packer = encoder(coding)
    return packer.feed(data) + packer.finish()


def unpacked(coding: str, data: bytes, limit_bytes: int) -> bytes | None:
    """Unpacks a whole body; None if it would be larger than the limit, which it is not then.

    Raises BadCoding, and KeyError for a coding that is not known.
    """
    unpacker = _DECODERS[coding]()
    pieces: list[bytes] = []
    left = limit_bytes
    for piece in unpacker.feed(data):
        left -= len(piece)
        if left < 0:
            return None
        pieces.append(piece)
    unpacker.finish()
    return b"".join(pieces)
