"""Connect's streams: application/connect+proto and application/connect+json."""

from typing import Final

from google.rpc import code_pb2

from gateway.transcoding.errors import Headers, Metadata, StatusError
from gateway.transcoding.http import HttpRequest, HttpResponse, header
from gateway.transcoding.rpc import connect_error, exchange
from gateway.transcoding.rpc.dialect import Dialect
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.envelope import framed
from gateway.transcoding.rpc.message_codec import Format

PREFIX: Final = "application/connect+"

_END: Final = 0x02


async def answer(endpoint: Endpoint, request: HttpRequest, form: Format) -> HttpResponse:
    """Makes the call. Every failure of it is an answer, too."""
    return await exchange.answer(_ConnectStream(endpoint, form, f"{PREFIX}{form}"), request)


class _ConnectStream(Dialect):
    ENCODING = b"connect-content-encoding"
    ACCEPT_ENCODING = b"connect-accept-encoding"
    UNKNOWN_FLAGS = code_pb2.INVALID_ARGUMENT

    def agree(self, headers: Headers) -> None:
        connect_error.check_version(header(headers, b"connect-protocol-version"))
        super().agree(headers)

    def timeout_seconds(self, headers: Headers) -> float | None:
        timeout = header(headers, b"connect-timeout-ms")
        return connect_error.timeout_seconds(timeout, self.endpoint.terms.deadline_seconds)

    def end(self, trailers: Metadata, error: StatusError | None) -> bytes:
        return framed(_END, connect_error.end_to_json(trailers, error))
