"""Carries calls to the services: wire bytes out, wire bytes back.

Transport                  what the transcoder asks for
NativeTransport (native)   calls over HTTP/2 of our own
GrpcTransport (grpc_aio)   calls over a grpc.aio channel: the reference
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from gateway.transcoding.errors import Metadata
from gateway.transcoding.outcome import Outcome

Messages = AsyncIterator[bytes]


# Not frozen, as what is made for every request: a frozen one takes three times as long to make.
@dataclass(slots=True, kw_only=True)
class Call:
    """What is asked of a service."""

    path: str
    """Of the method: `/shop.v1.Orders/GetOrder`."""
    metadata: Metadata = ()
    timeout_seconds: float | None = None
    """None lets the call take as long as it takes."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """The answer to a unary call."""

    message: bytes
    headers: Metadata = ()
    trailers: Metadata = ()


class ReplyStream(Protocol):
    """The answers to a streaming call, one wire message each.

    Iteration raises StatusError when the call fails. Closing an unfinished stream cancels the call.
    """

    trailers: Metadata
    """Known when the iteration has ended."""

    def __aiter__(self) -> Messages: ...

    async def headers(self) -> Metadata:
        """Waits for the initial metadata. Raises StatusError if the call fails before."""
        ...

    async def aclose(self) -> None:
        """Ends the call, if it has not ended itself."""
        ...


class Transport(Protocol):
    """Makes calls to one service or many. A failed call raises StatusError where it is awaited."""

    def unary(self, call: Call, request: bytes) -> Outcome[Reply]:
        """Sends one message; the one that comes is the outcome. Cancelling it cancels the call."""
        ...

    def stream(self, call: Call, requests: bytes | Messages) -> ReplyStream:
        """Sends one message, or messages as they come, and gives the answers as they come.

        Serves client-streaming, server-streaming and bidirectional methods alike. An exception of
        `requests` cancels the call and is raised by the iteration of the answers.
        """
        ...

    async def is_ready(self, service: str) -> bool:
        """Says whether a call made now would reach the service. Answers soon."""
        ...
