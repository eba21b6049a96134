"""Answers what looks like an RPC and is none, so that a client of RPC makes the right of it.

Clients of gRPC-Web go by the HTTP status, and so do those of Connect, which also read its JSON.
"""

import json
from collections.abc import Iterable
from typing import Final

from google.rpc import code_pb2, status_pb2

from gateway.transcoding.http import HttpRequest, HttpResponse, header, media_type
from gateway.transcoding.rpc.connect_error import error_to_json

_GRPC_WEB: Final = "application/grpc-web"
_CONNECT: Final = ("application/connect+", "application/proto")


def is_rpc(request: HttpRequest) -> bool:
    """Says whether the request can only be meant for an RPC by name."""
    content_type, _ = media_type(header(request.headers, b"content-type") or "")
    return request.method == "POST" and content_type.startswith((_GRPC_WEB, *_CONNECT))


def unknown_path(request: HttpRequest) -> HttpResponse:
    """Makes the answer for a method that is not there."""
    return _refused(request, 404, code_pb2.UNIMPLEMENTED, "no such method")


def unknown_type(request: HttpRequest, known: Iterable[str]) -> HttpResponse:
    """Makes the answer for a content type that the method does not take."""
    types = ", ".join(known)
    response = _refused(request, 415, code_pb2.UNKNOWN, f"expected one of {types}")
    response.headers.append((b"accept-post", types.encode()))
    return response


def other_method(request: HttpRequest, allow: Iterable[str]) -> HttpResponse:
    """Makes the answer for another HTTP method than those allowed; for OPTIONS, it is no error."""
    allowed = (b"allow", ", ".join(allow).encode())
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=[allowed])
    response = _refused(request, 405, code_pb2.UNKNOWN, "the path does not take this method")
    response.headers.append(allowed)
    return response


def _refused(request: HttpRequest, status: int, code: int, message: str) -> HttpResponse:
    content_type, _ = media_type(header(request.headers, b"content-type") or "")
    has_version = header(request.headers, b"connect-protocol-version") is not None
    if has_version or content_type.startswith(_CONNECT):
        message = json.dumps(error_to_json(status_pb2.Status(code=code, message=message)))
        headers = [(b"content-type", b"application/json")]
    else:
        headers = [(b"content-type", b"text/plain")]
    return HttpResponse(status=status, headers=headers, body=message.encode())
