"""HTTP as the transcoder sees it, whatever server speaks it."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from gateway.transcoding.errors import Headers

Chunks = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request whose body has yet to be read."""

    method: str
    path: str
    """Still percent-encoded, without the query."""
    query: str
    headers: Headers
    chunks: Callable[[], Chunks]
    """Reads the body, once. Raises when the client goes away before its end."""
    has_body: bool
    """Whether a body was announced (RFC 9112 section 6.3)."""


@dataclass(slots=True, kw_only=True)
class HttpResponse:
    """An answer. A body of chunks is sent as it comes, and closed if the client goes away."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | Chunks = b""
    rpc: str = ""
    """The full name of the method that answered; empty if none did."""


def header(headers: Headers, name: bytes) -> str | None:
    """Gives the value of a header field by its lower-case name; several are joined by commas."""
    values = [value for key, value in headers if key == name]
    return b", ".join(values).decode("latin-1") if values else None


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
