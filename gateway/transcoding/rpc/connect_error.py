"""Writes failures and trailers as Connect's JSON.

{"code": "not_found", "message": "..", "details": [{"type": "pkg.Message", "value": ".."}]}
"""

import base64
import json
import re
from typing import Any, Final

from google.rpc import code_pb2, status_pb2

from gateway.transcoding.errors import HTTP_STATUS, Metadata, StatusError, refuse
from gateway.transcoding.rpc.call_metadata import to_text

_TIMEOUT: Final = re.compile(r"[0-9]{1,10}")


def code_name(code: int) -> str:
    """Names a code as Connect does; a number that is none is `unknown`."""
    if code not in HTTP_STATUS:
        return "unknown"
    return "canceled" if code == code_pb2.CANCELLED else code_pb2.Code.Name(code).lower()


def error_to_json(status: status_pb2.Status) -> dict[str, Any]:
    """Writes a status."""
    written: dict[str, Any] = {"code": code_name(status.code), "message": status.message}
    if status.details:
        written["details"] = [
            {
                "type": detail.TypeName(),
                "value": base64.b64encode(detail.value).decode().rstrip("="),
            }
            for detail in status.details
        ]
    return written


def end_to_json(trailers: Metadata, error: StatusError | None) -> bytes:
    """Writes the end of a stream."""
    end: dict[str, Any] = {}
    if error is not None:
        end["error"] = error_to_json(error.status)
    metadata: dict[str, list[str]] = {}
    for key, value in trailers:
        metadata.setdefault(key, []).append(to_text(value))
    if metadata:
        end["metadata"] = metadata
    return json.dumps(end, ensure_ascii=False, separators=(",", ":")).encode()


def timeout_seconds(text: str | None, bound_seconds: float | None) -> float | None:
    """Reads `connect-timeout-ms`, bounded by the method's own deadline. Raises StatusError."""
    if text is None:
        return bound_seconds
    if not _TIMEOUT.fullmatch(text):
        raise refuse("connect-timeout-ms", "expected up to ten digits")
    asked = int(text) / 1000
    return asked if bound_seconds is None else min(asked, bound_seconds)


def check_version(version: str | None) -> None:
    """Raises StatusError for another version of the protocol than ours, if one is given."""
    if version not in (None, "1"):
        raise refuse("connect-protocol-version", "expected 1")
