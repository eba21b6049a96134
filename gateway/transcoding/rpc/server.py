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
from http import HTTPStatus
from typing import Any, Final

from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.transcoding.http import Answer, Handler, HttpRequest, HttpResponse, header, media_type
from gateway.transcoding.rpc import connect_stream, connect_unary, grpc_web, refusal
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
_NOT_FOUND: Final = HTTPStatus.NOT_FOUND


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
            answer = None if endpoint is None else self._answer(endpoint, request)
            if answer is None:
                answer = handler(request)
                is_unknown = isinstance(answer, HttpResponse) and answer.status == _NOT_FOUND
                if is_unknown and refusal.is_rpc(request):
                    return refusal.unknown_path(request)
            return answer

        return handle

    def _answer(self, endpoint: Endpoint, request: HttpRequest) -> Answer | None:
        is_bound = request.path in self._annotated
        if request.method == "GET" and _may_get(endpoint):
            if is_bound and "connect=v1" not in request.query.split("&"):
                return None
            return _task(connect_unary.answer_get(endpoint, request))
        if request.method == "POST":
            return self._answer_post(endpoint, request, is_bound=is_bound)
        if is_bound:
            return None
        gets = ("GET",) if _may_get(endpoint) else ()
        return refusal.other_method(request, (*gets, "OPTIONS", "POST"))

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
        if is_bound:
            return None
        known = (*(_STREAMS if _is_stream(endpoint) else _UNARY), *_GRPC_WEB)
        return refusal.unknown_type(request, known)


def _is_stream(endpoint: Endpoint) -> bool:
    return endpoint.method.client_streaming or endpoint.method.server_streaming


def _may_get(endpoint: Endpoint) -> bool:
    level = endpoint.method.options.idempotency_level
    return level == MethodOptions.NO_SIDE_EFFECTS and not _is_stream(endpoint)


def _task(answering: Coroutine[Any, Any, HttpResponse]) -> Answer:
    return asyncio.get_running_loop().create_task(answering)
