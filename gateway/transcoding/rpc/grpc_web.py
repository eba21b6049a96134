"""gRPC-Web: application/grpc-web and, in base64 for what cannot carry bytes, grpc-web-text.

The last envelope of an answer has the trailers.
"""

import base64
import binascii
import re
import urllib.parse
from collections.abc import AsyncIterator
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding import metadata
from gateway.transcoding.errors import Headers, Metadata, StatusError, refuse
from gateway.transcoding.http import HttpRequest, HttpResponse, header
from gateway.transcoding.rpc import call_metadata, exchange
from gateway.transcoding.rpc.dialect import Dialect
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.envelope import framed
from gateway.transcoding.rpc.message_codec import FORMATS

TYPE: Final = re.compile(r"(application/grpc-web(?:-text)?)(?:\+(proto|json))?")
"""The media types: whether they are text, and the format of the messages."""

_TRAILERS: Final = 0x80
_BASE64_GROUP: Final = 4
_LINE_BREAKS: Final = re.compile(r"[^\x20-\x7e]")
_OK: Final = (("grpc-status", "0"),)


async def answer(endpoint: Endpoint, request: HttpRequest, kind: re.Match[str]) -> HttpResponse:
    """Makes the call. Every failure of it is an answer, too. `kind` is a match of TYPE."""
    # A client is answered by the name it used.
    dialect = _GrpcWebText if kind[1].endswith("-text") else _GrpcWeb
    return await exchange.answer(dialect(endpoint, FORMATS[kind[2] or "proto"], kind[0]), request)


class _GrpcWeb(Dialect):
    ENCODING = b"grpc-encoding"
    ACCEPT_ENCODING = b"grpc-accept-encoding"
    UNKNOWN_FLAGS = code_pb2.INTERNAL

    def timeout_seconds(self, headers: Headers) -> float | None:
        timeout = header(headers, b"grpc-timeout")
        return metadata.timeout_seconds(timeout, self.endpoint.terms.deadline_seconds)

    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        told = [*(_OK if error is None else _status(error)), *_readable(trailers)]
        lines = "".join(f"{key}: {value}\r\n" for key, value in told)
        return framed(_TRAILERS, lines.encode())


class _GrpcWebText(_GrpcWeb):
    """The same in base64, envelope by envelope."""

    def pieces(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return _from_text(chunks)

    def whole(self, body: bytes) -> bytes:
        return _decoded(body + b"=" * (-len(body) % _BASE64_GROUP))

    def write(self, wire: bytes) -> bytes:
        return base64.b64encode(super().write(wire))

    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        return base64.b64encode(super().end(trailers, error))


def _status(error: StatusError) -> tuple[tuple[str, str], ...]:
    """Writes a status as gRPC's trailers do."""
    status = error.status
    told = [("grpc-status", str(status.code))]
    if status.message:
        # gRPC over HTTP/2, Percent-Encoded: printable ASCII but for the percent sign stays.
        text = urllib.parse.quote(status.message, safe=_UNENCODED)
        told.append(("grpc-message", text))
    if status.details:
        details = base64.b64encode(status.SerializeToString()).decode().rstrip("=")
        told.append(("grpc-status-details-bin", details))
    return tuple(told)


_UNENCODED: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _readable(trailers: Metadata) -> list[tuple[str, str]]:
    return [
        (key, call_metadata.to_text(value))
        for key, value in trailers
        if not key.startswith("grpc-")
    ]


async def _from_text(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Decodes base64 that comes in pieces, each padded or not."""
    rest = b""
    async for chunk in chunks:
        text = rest + chunk
        whole = len(text) - len(text) % _BASE64_GROUP
        rest = text[whole:]
        yield _decoded(text[:whole])
    if rest:
        yield _decoded(rest + b"=" * (_BASE64_GROUP - len(rest)))


def _decoded(text: bytes) -> bytes:
    # Padding ends a segment, after which another may begin.
    segments = re.findall(rb"[^=]+=*", text)
    try:
        return b"".join(base64.b64decode(segment, validate=True) for segment in segments)
    except binascii.Error:
        raise refuse("", "expected base64") from None
