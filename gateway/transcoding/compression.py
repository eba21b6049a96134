"""Takes and gives compressed bodies of HTTP (RFC 9110 sections 8.4 and 12.5.3): gzip, br, zstd.

    in    any one of them, unpacked piece by piece, so that a limit is met before memory is
    out   text of 1 KiB and more, by the coding the client likes best, ours first where it has no
          preference; a long one in pieces, so that others get their turn
          streams of messages, by gzip, each message readable when it comes

Not packed: what is packed already, and what is no text. Answers with secrets should not come here
(`secrets`): their length would tell of what they hold (BREACH).
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Final

from gateway.transcoding import content_coding
from gateway.transcoding.content_coding import PIECE_BYTES, BadCoding, FlushingGzip
from gateway.transcoding.errors import Headers, StatusError, refuse
from gateway.transcoding.http import Chunks, HttpResponse, header, media_type

_MIN_BYTES: Final = 1024
# A body up to this is packed at once: about half a millisecond.
_AT_ONCE_BYTES: Final = 128 * 1024
_IDENTITY: Final = "identity"
_STREAMS: Final = frozenset({"application/x-ndjson", "text/event-stream"})
_TEXTS: Final = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/proto",
        "application/problem+json",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)


class Inflater:
    """Decompresses a request body piece by piece."""

    def __init__(self, headers: Headers) -> None:
        """Raises StatusError for a coding that is not known."""
        coding = (header(headers, b"content-encoding") or _IDENTITY).strip().lower()
        self._decoder = None if coding == _IDENTITY else content_coding.decoder(coding)
        if self._decoder is None and coding != _IDENTITY:
            raise _unsupported(coding)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacks a chunk, in pieces of bounded size. Raises StatusError if it is malformed."""
        if self._decoder is None:
            yield chunk
            return
        try:
            yield from self._decoder.feed(chunk)
        except BadCoding as error:
            raise _malformed(error) from None

    def finish(self) -> None:
        """Raises StatusError if the compressed body ended too early."""
        if self._decoder is not None:
            try:
                self._decoder.finish()
            except BadCoding as error:
                raise _malformed(error) from None


def _malformed(error: BadCoding) -> StatusError:
    return refuse("content-encoding", f"the body {error}")


def _unsupported(coding: str) -> StatusError:
    error = refuse("content-encoding", f"{coding} is not supported", http_status=415)
    known = ", ".join(content_coding.NAMES).encode()
    error.headers = (*error.headers, (b"accept-encoding", known))
    return error


def compress(response: HttpResponse, request_headers: Headers) -> None:
    """Compresses an answer in place where the client accepts it and it is worth it."""
    body = response.body
    if isinstance(body, bytes) and len(body) < _MIN_BYTES:
        return
    content_type, _ = media_type(header(response.headers, b"content-type") or "")
    is_stream = not isinstance(body, bytes)
    if not (content_type in _STREAMS if is_stream else _is_text(content_type)):
        return
    if header(response.headers, b"content-encoding") is not None:
        return
    response.headers.append((b"vary", b"accept-encoding"))
    accepted = header(request_headers, b"accept-encoding")
    coding = None if accepted is None else preferred(accepted, ("gzip",) if is_stream else _ALL)
    if coding is None:
        return
    response.headers.append((b"content-encoding", coding.encode()))
    if not isinstance(body, bytes):
        response.body = _each(body)
    elif len(body) <= _AT_ONCE_BYTES:
        response.body = content_coding.packed(coding, body)
    else:
        response.body = _piece_by_piece(coding, body)


_ALL: Final = content_coding.NAMES


def _is_text(content_type: str) -> bool:
    return content_type in _TEXTS or content_type.startswith("text/")


async def _each(frames: Chunks) -> Chunks:
    """Packs a stream, each frame to its end."""
    packer = FlushingGzip()
    async with contextlib.aclosing(frames):
        async for frame in frames:
            yield packer.feed(frame)
    yield packer.finish()


async def _piece_by_piece(coding: str, body: bytes) -> Chunks:
    packer = content_coding.encoder(coding)
    for at in range(0, len(body), PIECE_BYTES):
        packed = packer.feed(body[at : at + PIECE_BYTES])
        if packed:
            yield packed
        await asyncio.sleep(0)
    yield packer.finish()


def preferred(accept_encoding: str, known: tuple[str, ...]) -> str | None:
    """Gives the coding that the client likes best of those known, the first of equals.

    None if it likes none, or its own identity better.
    """
    weights = dict(_weights(accept_encoding))
    other = weights.get("*", 0.0)
    ranked = [(weights.get(coding, other), coding) for coding in known]
    best = max(itertools.chain(ranked, [(0.0, "")]), key=lambda each: each[0])
    is_better = best[0] > 0 and best[0] >= weights.get(_IDENTITY, 0.0)
    return best[1] if is_better else None


def _weights(accept_encoding: str) -> Iterator[tuple[str, float]]:
    for item in accept_encoding.split(","):
        coding, parameters = media_type(item)
        if coding == "x-gzip":
            coding = "gzip"
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        # Neither a NaN nor more than 1 is a weight.
        yield coding, weight if 0 <= weight <= 1 else 0.0
