"""What the server answers itself: as google.rpc.Status, with a request id, and for the last time.

A connection whose next bytes cannot be told apart any more is closed after it.
"""

import json
from http import HTTPStatus
from typing import Final

import uuid_utils

# Canonical codes of google/rpc/code.proto.
_INVALID_ARGUMENT: Final = 3
_DEADLINE_EXCEEDED: Final = 4
_UNIMPLEMENTED: Final = 12
_INTERNAL: Final = 13
_UNAVAILABLE: Final = 14


class Refusal(Exception):
    """A request that is not handed on.

    `headers` are whole lines that are added to the answer's header.
    """

    def __init__(self, http_status: int, code: int, message: str, headers: bytes = b"") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.headers = headers

    def to_bytes(self, date: bytes) -> bytes:
        """Writes the answer. `date` is the line of its Date field."""
        status = {"code": self.code, "message": self.message, "details": []}
        body = json.dumps(status, separators=(",", ":")).encode()
        return (
            b"HTTP/1.1 %d %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\nconnection: close\r\n%b\r\n%b"
        ) % (
            self.http_status,
            HTTPStatus(self.http_status).phrase.encode(),
            date,
            len(body),
            str(uuid_utils.uuid7()).encode(),
            self.headers,
            body,
        )


def malformed(what: str = "the request") -> Refusal:
    """Makes the refusal of what is not HTTP, or could be read in two ways."""
    return Refusal(400, _INVALID_ARGUMENT, f"{what} is malformed")


def target_too_long() -> Refusal:
    """Makes the refusal of a request target above the limit."""
    return Refusal(414, _INVALID_ARGUMENT, "the request target is too long")


def header_too_large() -> Refusal:
    """Makes the refusal of a header with too many fields or bytes (RFC 6585 section 5)."""
    return Refusal(431, _INVALID_ARGUMENT, "the header is too large")


def too_slow() -> Refusal:
    """Makes the refusal of a request that does not come to its end."""
    return Refusal(408, _DEADLINE_EXCEEDED, "the request did not arrive in time")


def expectation_failed() -> Refusal:
    """Makes the refusal of an Expect that is not known (RFC 9110 section 10.1.1)."""
    return Refusal(417, _INVALID_ARGUMENT, "the expectation cannot be met")


def not_implemented(what: str) -> Refusal:
    """Makes the refusal of a part of HTTP that is not served."""
    return Refusal(501, _UNIMPLEMENTED, f"{what} is not implemented")


def version_not_supported() -> Refusal:
    """Makes the refusal of a version other than 1.0 and 1.1."""
    return Refusal(505, _UNIMPLEMENTED, "the HTTP version is not supported")


def too_many_connections() -> Refusal:
    """Makes the refusal of a connection above the limit."""
    return Refusal(503, _UNAVAILABLE, "too many connections", b"retry-after: 1\r\n")


def internal() -> Refusal:
    """Makes the answer for a handler that failed to give one."""
    return Refusal(500, _INTERNAL, "internal error")


def upgrade_required() -> Refusal:
    """Makes the refusal of a request that has to ask for a WebSocket (RFC 9110 section 15.5.22)."""
    return _no_handshake(426)


def bad_handshake() -> Refusal:
    """Makes the refusal of what is no WebSocket handshake (RFC 6455 section 4.2.2)."""
    return _no_handshake(400)


def _no_handshake(http_status: int) -> Refusal:
    # Connection has to name Upgrade, besides saying close.
    headers = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    return Refusal(http_status, _INVALID_ARGUMENT, "a WebSocket handshake is expected", headers)
