"""gRPC-Web: application/grpc-web and, in base64 for what cannot carry bytes, grpc-web-text.

An answer is 200 whatever comes of the call; its last envelope has the trailers, which tell.
"""

import base64
import binascii
import re
import urllib.parse
from collections.abc import AsyncIterator
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding import metadata
from gateway.transcoding.errors import Metadata, StatusError, refuse
from gateway.transcoding.http import HttpRequest, HttpResponse, header
from gateway.transcoding.rpc import call_metadata, exchange, message_coding
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.envelope import COMPRESSED, framed
from gateway.transcoding.rpc.failure import failed
from gateway.transcoding.rpc.message_codec import FORMATS, Format
from gateway.transcoding.rpc.message_coding import IDENTITY, KNOWN, MessageCoding

TYPE: Final = re.compile(r"(application/grpc-web(?:-text)?)(?:\+(proto|json))?")
"""The media types: whether they are text, and the format of the messages."""

_TRAILERS: Final = 0x80
_BASE64_GROUP: Final = 4
_LINE_BREAKS: Final = re.compile(r"[^\x20-\x7e]")
_OK: Final = (("grpc-status", "0"),)


async def answer(endpoint: Endpoint, request: HttpRequest, kind: re.Match[str]) -> HttpResponse:
    """Makes the call. Every failure of it is an answer, too. `kind` is a match of TYPE."""
    dialect = _GrpcWeb(endpoint, kind)
    try:
        dialect.coding = message_coding.agreed(
            header(request.headers, b"grpc-encoding"),
            header(request.headers, b"grpc-accept-encoding"),
            packs=endpoint.packs,
            limit_bytes=endpoint.shared.limits.body_bytes,
        )
        timeout = metadata.timeout_seconds(
            header(request.headers, b"grpc-timeout"), endpoint.terms.deadline_seconds
        )
        call = await endpoint.admitted(request, timeout)
        return await exchange.answer(endpoint, request, call, dialect)
    except StatusError as error:
        return exchange.failed(dialect, error)


class _GrpcWeb:
    def __init__(self, endpoint: Endpoint, kind: re.Match[str]) -> None:
        self._endpoint = endpoint
        self._is_text = kind[1].endswith("-text")
        self._form: Format = FORMATS[kind[2] or "proto"]
        # A client is answered by the name it used.
        self._content_type = kind[0].encode()
        limit = endpoint.shared.limits.body_bytes
        self.coding = MessageCoding(incoming=IDENTITY, outgoing=IDENTITY, limit_bytes=limit)

    def pieces(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return _from_text(chunks) if self._is_text else chunks

    def whole(self, body: bytes) -> bytes:
        return _decoded(body + b"=" * (-len(body) % _BASE64_GROUP)) if self._is_text else body

    def read(self, flags: int, message: bytes) -> bytes:
        if flags & ~COMPRESSED:
            raise failed(code_pb2.INTERNAL, "an envelope has flags that are not known")
        unpacked = self.coding.unpack(flags, message)
        codec = self._endpoint.shared.messages
        return codec.read(self._endpoint.method.input, unpacked, self._form)

    def head(self, metadata: Metadata) -> HttpResponse:
        headers = call_metadata.to_headers(metadata)
        headers.append((b"content-type", self._content_type))
        if self.coding.outgoing != IDENTITY:
            headers.append((b"grpc-encoding", self.coding.outgoing.encode()))
        headers.append((b"grpc-accept-encoding", ",".join(KNOWN).encode()))
        return HttpResponse(status=200, headers=headers, rpc=self._endpoint.method.full_name)

    def write(self, wire: bytes) -> bytes:
        codec = self._endpoint.shared.messages
        message = codec.write(self._endpoint.method.output, wire, self._form)
        return self._sent(framed(*self.coding.pack(message)))

    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        told = [*(_OK if error is None else _status(error)), *_readable(trailers)]
        lines = "".join(f"{key}: {value}\r\n" for key, value in told)
        return self._sent(framed(_TRAILERS, lines.encode()))

    def _sent(self, envelope: bytes) -> bytes:
        return base64.b64encode(envelope) if self._is_text else envelope


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
