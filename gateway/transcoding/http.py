"""HTTP as the transcoder sees it, whatever server speaks it.

server -> HttpRequest -> Handler -> HttpResponse, or the outcome to come -> server
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from gateway.transcoding.errors import Headers
from gateway.transcoding.outcome import Outcome, outcome

Chunks = AsyncGenerator[bytes, None]


class ClientGone(Exception):
    """The client went away; half a body must not pass for a whole one."""


# Not frozen: a frozen one takes three times as long to make, and one is made for every request.
@dataclass(slots=True, kw_only=True)
class HttpRequest:
    """A request."""

    method: str
    path: str
    """Still percent-encoded, without the query."""
    query: str
    headers: Headers
    names: Collection[bytes]
    """Those of all `headers`: what to ask first, since most fields are not there."""
    body: bytes | None
    """The whole body if it has arrived, empty if there is none; None if `chunks` has to read it."""
    chunks: Callable[[], Chunks]
    """Reads the body, once, arrived or not. Raises ClientGone if the client leaves before its end.

    What is not read is thrown away after the answer.
    """
    added: list[tuple[str, str]] = field(default_factory=list)
    """What we have to say to the service with the call, as metadata."""
    peer: str = ""
    """The address at the other end of the connection; empty if it has none."""

    def replace(self, headers: Headers) -> None:
        """Has these fields in place of those that came."""
        self.headers[:] = headers
        self.names = dict(headers)


class WebSocket(Protocol):
    """A WebSocket connection that is open (RFC 6455). It is closed when its owner returns."""

    async def receive(self) -> str | bytes | None:
        """Gives the next message, text or binary; None when the peer has closed or is gone."""

    async def send(self, message: str | bytes) -> None:
        """Sends a message as text or binary, when the peer has room for it.

        Raises ClientGone if the connection is closed.
        """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection. `reason` is cut at 123 bytes of UTF-8."""


@dataclass(slots=True, kw_only=True)
class HttpResponse:
    """An answer. A body of chunks is sent as it comes, and closed if the client goes away.

    The server adds what frames it: content-length or transfer-encoding, connection and date.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | Chunks = b""
    rpc: str = ""
    """The full name of the method that answered; empty if none did."""
    websocket: Callable[[WebSocket], Awaitable[None]] | None = None
    """With status 101: who speaks on the WebSocket that the client asked for.

    The server checks and answers the handshake; what is no handshake is refused instead. It is
    cancelled when the client goes away.
    """


Answer = HttpResponse | Outcome[HttpResponse] | asyncio.Future[HttpResponse]

Handler = Callable[[HttpRequest], Answer]
"""Answers a request: at once, or later; then it is cancelled when the client goes away.

Neither a coroutine, nor a Task where none is needed. Raises nothing but ClientGone.
"""


def finished(answer: Answer, finish: Callable[[HttpResponse], None]) -> Answer:
    """Has `finish` complete the response in place, before whoever asks next gets to see it."""
    if isinstance(answer, HttpResponse):
        finish(answer)
        return answer

    def complete(response: HttpResponse, error: BaseException | None) -> HttpResponse:
        if error is not None:
            raise error
        finish(response)
        return response

    return outcome(answer).then(complete)


def header(headers: Headers, name: bytes) -> str | None:
    """Gives the value of a header field by its lower-case name; several are joined by commas."""
    found: bytes | None = None
    for key, value in headers:
        if key == name:
            found = value if found is None else b"%b, %b" % (found, value)
    return None if found is None else found.decode("latin-1")


def media_type(content_type: str) -> tuple[str, dict[str, str]]:
    """Splits a Content-Type into the lower-case type and its parameters."""
    essence, *parameters = content_type.split(";")
    split = (parameter.partition("=") for parameter in parameters)
    return essence.strip().lower(), {
        name.strip().lower(): value.strip().strip('"').lower() for name, _, value in split
    }


def accepts(headers: Headers, wanted: str) -> bool:
    """Says whether `Accept` names a media type itself, other than with `q=0`."""
    for item in (header(headers, b"accept") or "").split(","):
        essence, parameters = media_type(item)
        if essence == wanted and parameters.get("q", "1").strip("0.") != "":
            return True
    return False
