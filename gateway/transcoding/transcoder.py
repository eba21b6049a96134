"""Answers HTTP requests by calls to services.

    match the route -> admit -> bind the request -> call -> write the response

Everything that depends on the binding alone is built at start; a request pays for itself only.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.transcoding import body, etag, fields, metadata
from gateway.transcoding.bindings import Binding
from gateway.transcoding.body import Limits
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.errors import StatusError, method_not_allowed, not_found
from gateway.transcoding.etag import TagStyles
from gateway.transcoding.http import Answer, HttpRequest, HttpResponse, header
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.percent import Decoding
from gateway.transcoding.request import HeaderField, RequestBinder, RequestHead
from gateway.transcoding.response import ResponseWriter, write_error
from gateway.transcoding.route import Route
from gateway.transcoding.router import Match, Router
from gateway.transcoding.stream_call import StreamCalls
from gateway.transcoding.terms import Terms
from gateway.transcoding.transport import Call, Transport

# AIP-155: the field that makes a repeated call the same call.
_REQUEST_ID: Final = "request_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How requests are read."""

    decoding: Decoding = Decoding.EXCEPT_SLASH
    ignore_unknown_fields: bool = False
    limits: Limits = field(default_factory=Limits)
    denied_metadata: re.Pattern[str] | None = None
    """Metadata keys that a client must not set, besides those nobody lets it set."""
    terms: Callable[[Method], Terms] = lambda _: Terms()


class Transcoder:
    """Serves a set of bindings."""

    def __init__(
        self,
        descriptors: Descriptors,
        router: Router[Binding],
        bindings: Sequence[Binding],
        transports: Mapping[str, Transport],
        options: Options,
    ) -> None:
        """`transports` has one by the full name of each bound service. Raises Faults."""
        self._codec = Codec(descriptors.files)
        self._router = router
        self._options = options
        self._streams = StreamCalls(codec=self._codec, limits=options.limits)
        missing = {binding.method.service for binding in bindings} - transports.keys()
        if missing:
            raise Faults(f"{service}: no upstream serves it" for service in sorted(missing))
        reader = JsonReader(codec=self._codec, ignore_unknown_fields=options.ignore_unknown_fields)
        tags = TagStyles()
        self._routes = {
            id(binding): self._route(binding, reader, tags, transports[binding.method.service])
            for binding in bindings
        }

    def _route(
        self, binding: Binding, reader: JsonReader, tags: TagStyles, transport: Transport
    ) -> Route:
        terms = self._options.terms(binding.method)
        return Route(
            binding=binding,
            binder=RequestBinder(
                binding,
                reader,
                decoding=self._options.decoding,
                header_fields=_header_fields(binding, tags),
            ),
            writer=ResponseWriter(binding, self._codec, tags),
            transport=transport,
            terms=terms,
        )

    def handle(self, request: HttpRequest) -> Answer:
        """Answers a request. Every failure of a call is an answer, too."""
        return asyncio.get_running_loop().create_task(self._handle(request))

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        rpc = ""
        try:
            found = self._router.match(request.method, request.path)
            if not isinstance(found, Match):
                return _unmatched(request.method, found.allow)
            route = self._routes[id(found.route)]
            rpc = found.route.method.full_name
            response = await self._answer(request, route, found.segments)
        except StatusError as error:
            response = write_error(error, request.headers, self._codec)
        response.rpc = rpc
        return response

    async def _answer(
        self, request: HttpRequest, route: Route, segments: list[str]
    ) -> HttpResponse:
        if route.terms.admit is not None:
            await route.terms.admit(request.headers)
        head = RequestHead(segments=segments, query=request.query, headers=request.headers)
        method = route.binding.method
        call = Call(
            path=method.path,
            metadata=metadata.from_headers(request.headers, self._options.denied_metadata),
            timeout_seconds=metadata.timeout_seconds(
                header(request.headers, b"grpc-timeout"), route.terms.deadline_seconds
            ),
        )
        if method.client_streaming or method.server_streaming:
            return await self._streams.answer(request, route, head, call)
        message = route.binder.bind(head, await body.read(request, self._options.limits))
        reply = await route.transport.unary(call, message)
        return route.writer.write(reply, request.headers, request.method)


def _unmatched(method: str, allow: frozenset[str]) -> HttpResponse:
    if not allow:
        raise not_found()
    if method != "OPTIONS":
        raise method_not_allowed(allow)
    allowed = ", ".join(sorted({*allow, "OPTIONS"}))
    return HttpResponse(status=204, headers=[(b"allow", allowed.encode())])


def _header_fields(binding: Binding, tags: TagStyles) -> tuple[HeaderField, ...]:
    found: list[HeaderField] = []
    key = fields.resolve(binding.method.input, (_REQUEST_ID,))
    if key is not None and fields.is_text(key[-1]):
        found.append(HeaderField(header="idempotency-key", path=key))
    tag = etag.request_field(binding)
    if tag is not None:
        service = binding.method.service
        found.append(HeaderField(header="if-match", path=tag, read=partial(tags.to_field, service)))
    return tuple(found)
