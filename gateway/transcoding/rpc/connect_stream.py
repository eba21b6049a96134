"""Connect's streams: application/connect+proto and application/connect+json.

An answer is 200 whatever comes of the call; its last envelope tells.
"""

from collections.abc import AsyncIterator
from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.errors import Metadata, StatusError
from gateway.transcoding.http import HttpRequest, HttpResponse, header
from gateway.transcoding.rpc import call_metadata, connect_error, exchange, message_coding
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.envelope import COMPRESSED, framed
from gateway.transcoding.rpc.failure import failed
from gateway.transcoding.rpc.message_codec import Format
from gateway.transcoding.rpc.message_coding import IDENTITY, KNOWN, MessageCoding

PREFIX: Final = "application/connect+"

_END: Final = 0x02


async def answer(endpoint: Endpoint, request: HttpRequest, form: Format) -> HttpResponse:
    """Makes the call. Every failure of it is an answer, too."""
    dialect = _ConnectStream(endpoint, form)
    try:
        connect_error.check_version(header(request.headers, b"connect-protocol-version"))
        dialect.coding = message_coding.agreed(
            header(request.headers, b"connect-content-encoding"),
            header(request.headers, b"connect-accept-encoding"),
            packs=endpoint.packs,
            limit_bytes=endpoint.shared.limits.body_bytes,
        )
        timeout = connect_error.timeout_seconds(
            header(request.headers, b"connect-timeout-ms"), endpoint.terms.deadline_seconds
        )
        call = await endpoint.admitted(request, timeout)
        return await exchange.answer(endpoint, request, call, dialect)
    except StatusError as error:
        return exchange.failed(dialect, error)


class _ConnectStream:
    def __init__(self, endpoint: Endpoint, form: Format) -> None:
        self._endpoint = endpoint
        self._form = form
        limit = endpoint.shared.limits.body_bytes
        self.coding = MessageCoding(incoming=IDENTITY, outgoing=IDENTITY, limit_bytes=limit)

    def pieces(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return chunks

    def whole(self, body: bytes) -> bytes:
        return body

    def read(self, flags: int, message: bytes) -> bytes:
        if flags & ~COMPRESSED:
            raise failed(code_pb2.INVALID_ARGUMENT, "an envelope has flags that are not known")
        unpacked = self.coding.unpack(flags, message)
        codec = self._endpoint.shared.messages
        return codec.read(self._endpoint.method.input, unpacked, self._form)

    def head(self, metadata: Metadata) -> HttpResponse:
        headers = call_metadata.to_headers(metadata)
        headers.append((b"content-type", f"{PREFIX}{self._form}".encode()))
        if self.coding.outgoing != IDENTITY:
            headers.append((b"connect-content-encoding", self.coding.outgoing.encode()))
        headers.append((b"connect-accept-encoding", ", ".join(KNOWN).encode()))
        return HttpResponse(status=200, headers=headers, rpc=self._endpoint.method.full_name)

    def write(self, wire: bytes) -> bytes:
        codec = self._endpoint.shared.messages
        message = codec.write(self._endpoint.method.output, wire, self._form)
        return framed(*self.coding.pack(message))

    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        return framed(_END, connect_error.end_to_json(trailers, error))
