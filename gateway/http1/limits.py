"""What one client may ask of the server, in bytes and in time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a server. Times are checked every `sweep_seconds`, and kept to within two of them.

    How large a body may be, and how long an answer may take, is for the handler to say.
    """

    connections: int = 10_000
    """Of the process; what comes on top is answered with 503."""
    connections_per_client: int = 10_000
    """Of them, from one address, or from whom the server counts as one."""

    target_bytes: int = 8 * 1024
    header_bytes: int = 16 * 1024
    """Of all fields of a header; of a chunked body's trailer and chunk extensions, too."""
    header_fields: int = 100
    buffered_bytes: int = 64 * 1024
    """Of a body, or of requests sent ahead, that wait to be read; then the client has to wait."""
    discarded_bytes: int = 4 * 1024 * 1024
    """Of a body that nobody read, before the connection is cut."""
    message_bytes: int = 256 * 1024
    """Of a WebSocket's message."""

    header_seconds: float = 10.0
    """From the first byte of a request to the end of its header."""
    body_seconds: float = 60.0
    """Between two pieces of a body that the handler waits for."""
    idle_seconds: float = 75.0
    """Between two requests."""
    write_seconds: float = 30.0
    """In which a client that has bytes to read has to read `write_bytes_per_second`."""
    write_bytes_per_second: float = 240.0
    linger_seconds: float = 5.0
    """For a client to take note of the last answer and to close; for a WebSocket's close, too."""
    ping_seconds: float = 20.0
    """Of silence on a WebSocket before it is pinged, and again before it is cut."""

    sweep_seconds: float = 1.0
