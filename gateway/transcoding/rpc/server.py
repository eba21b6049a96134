"""Finds the method and the protocol of a request.

    content type of a POST                       protocol
    application/grpc-web[-text][+proto|+json]    gRPC-Web
    application/connect+proto|json               Connect, streams
    application/proto|json                       Connect, unary

An annotation may bind the very path of a method. Its route keeps every request that could be meant
for it: JSON without `connect-protocol-version`, and GET without `connect=v1`.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, Final

from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.transcoding.errors import StatusError, method_not_allowed, refuse
from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse, header, media_type
from gateway.transcoding.response import write_error
from gateway.transcoding.rpc import connect_stream, connect_unary, grpc_web
from gateway.transcoding.rpc.connect_stream import PREFIX
from gateway.transcoding.rpc.endpoint import Endpoint
from gateway.transcoding.rpc.message_codec import FORMATS

_UNARY: Final = {f"application/{name}": form for name, form in FORMATS.items()}
_STREAMS: Final = {f"{PREFIX}{name}": form for name, form in FORMATS.items()}
_GRPC_WEB: Final = (
    *("application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"),
    *("application/grpc-web-text", "application/grpc-web-text+proto"),
)
_VERSION: Final = b"connect-protocol-version"


class RpcServer:
    """Serves methods by their names."""

    def __init__(self, endpoints: Iterable[Endpoint], annotated: Collection[str]) -> None:
        """`annotated` has the paths of those methods that annotations bind to other calls."""
        self._endpoints = {endpoint.method.path: endpoint for endpoint in endpoints}
        self._annotated = frozenset(annotated)

    def before(self, handler: Handler) -> Handler:
        """Answers requests for methods by name, and leaves all others to `handler`."""
        find = self._endpoints.get

        def handle(request: HttpRequest) -> Answer:
            endpoint = find(request.path)
            if endpoint is None:
                return handler(request)
            answer = self._answer(endpoint, request)
            return handler(request) if answer is None else answer

        return handle

    def _answer(self, endpoint: Endpoint, request: HttpRequest) -> Answer | None:
        is_bound = request.path in self._annotated
        if request.method == "GET" and _may_get(endpoint):
            if is_bound and "connect=v1" not in request.query.split("&"):
                return None
            return _task(connect_unary.answer_get(endpoint, request))
        if request.method == "POST":
            return self._answer_post(endpoint, request, is_bound=is_bound)
        return None if is_bound else _other_method(endpoint, request)

    def _answer_post(
        self, endpoint: Endpoint, request: HttpRequest, *, is_bound: bool
    ) -> Answer | None:
        content_type, _ = media_type(header(request.headers, b"content-type") or "")
        kind = grpc_web.TYPE.fullmatch(content_type)
        if kind is not None:
            return _task(grpc_web.answer(endpoint, request, kind))
        if _is_stream(endpoint):
            form = _STREAMS.get(content_type)
            if form is not None:
                return _task(connect_stream.answer(endpoint, request, form))
        elif content_type in _UNARY:
            form = _UNARY[content_type]
            is_connect = form == "proto" or header(request.headers, _VERSION) is not None
            if is_connect or not is_bound:
                return _task(connect_unary.answer_post(endpoint, request, form))
        return None if is_bound else _unsupported(endpoint, request, content_type)


def _is_stream(endpoint: Endpoint) -> bool:
    return endpoint.method.client_streaming or endpoint.method.server_streaming


def _may_get(endpoint: Endpoint) -> bool:
    level = endpoint.method.options.idempotency_level
    return level == MethodOptions.NO_SIDE_EFFECTS and not _is_stream(endpoint)


def _unsupported(endpoint: Endpoint, request: HttpRequest, content_type: str) -> HttpResponse:
    known = [*(_STREAMS if _is_stream(endpoint) else _UNARY), *_GRPC_WEB]
    problem = f"{content_type or 'nothing'} is not one of {', '.join(known)}"
    error = refuse("content-type", problem, http_status=415)
    response = _refusal(endpoint, request, error)
    response.headers.append((b"accept-post", ", ".join(known).encode()))
    return response


def _other_method(endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
    allow = ["GET", "OPTIONS", "POST"] if _may_get(endpoint) else ["OPTIONS", "POST"]
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=[(b"allow", ", ".join(allow).encode())])
    return _refusal(endpoint, request, method_not_allowed(allow))


def _refusal(endpoint: Endpoint, request: HttpRequest, error: StatusError) -> HttpResponse:
    response = write_error(error, request.headers, endpoint.shared.messages.codec)
    response.rpc = endpoint.method.full_name
    return response


def _task(answering: Coroutine[Any, Any, HttpResponse]) -> Answer:
    return asyncio.get_running_loop().create_task(answering)
