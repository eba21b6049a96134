"""Answers HTTP requests by calls to services.

    match the route -> admit -> bind the request -> call -> write the response

Everything that depends on the binding alone is built at start; a request pays for itself only.
Where there is nothing to wait for but the answer of the service, as mostly, there is no task
either; both ways take the same steps (docs/decisions/0072).
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.transcoding import body, etag, fields, metadata, websocket_handshake
from gateway.transcoding.bindings import Binding
from gateway.transcoding.body import Limits
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.errors import StatusError, method_not_allowed, not_found
from gateway.transcoding.etag import TagStyles
from gateway.transcoding.http import Answer, HttpRequest, HttpResponse, header
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.outcome import Outcome
from gateway.transcoding.percent import Decoding
from gateway.transcoding.request import HeaderField, RequestBinder, RequestHead
from gateway.transcoding.response import ResponseWriter, write_error
from gateway.transcoding.route import Route
from gateway.transcoding.router import Match, NoMatch, Router
from gateway.transcoding.stream_call import StreamCalls
from gateway.transcoding.terms import Terms
from gateway.transcoding.transport import Call, Reply, Transport

# AIP-155: the field that makes a repeated call the same call.
_REQUEST_ID: Final = "request_id"
_TIMEOUT: Final = b"grpc-timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How requests are read."""

    decoding: Decoding = Decoding.EXCEPT_SLASH
    ignore_unknown_fields: bool = False
    limits: Limits = field(default_factory=Limits)
    denied_metadata: re.Pattern[str] | None = None
    """Metadata keys that a client must not set, besides those nobody lets it set."""
    origins: Collection[str] = ()
    """Whose pages may open WebSockets, besides our own; "*" is everybody's."""
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
        self._streams = StreamCalls(
            codec=self._codec, limits=options.limits, origins=options.origins
        )
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
            name=binding.method.full_name,
            path=binding.method.path,
            is_stream=binding.method.client_streaming or binding.method.server_streaming,
        )

    def handle(self, request: HttpRequest) -> Answer:
        """Answers a request. Every failure of a call is an answer, too."""
        route: Route | None = None
        try:
            found = self._router.match(request.method, request.path)
            if isinstance(found, NoMatch) and websocket_handshake.is_handshake(request):
                found = self._match_handshake(request, found)
            if isinstance(found, NoMatch):
                return _unmatched(request.method, found.allow)
            route = self._routes[id(found.route)]
            head = RequestHead(
                segments=found.segments, query=request.query, headers=request.headers
            )
            if _must_wait(request, route):
                answer = self._answer_later(request, route, head)
                return asyncio.get_running_loop().create_task(answer)
            # All is here but the service's answer: no task has to wait for it.
            message = request.body and body.arrived(request, self._options.limits)
            reply = self._call(request, route, head, message or b"")
        except StatusError as error:
            return self._failed(request, route, error)
        return reply.then(partial(self._answered, request, route))

    def _match_handshake(self, request: HttpRequest, found: NoMatch) -> Match[Binding] | NoMatch:
        """Finds the stream: a handshake is a GET, whatever method its route has."""
        for method in sorted(found.allow):
            other = self._router.match(method, request.path)
            if isinstance(other, Match) and self._routes[id(other.route)].is_stream:
                return other
        return found

    async def _answer_later(
        self, request: HttpRequest, route: Route, head: RequestHead
    ) -> HttpResponse:
        """Answers a request that has to be waited for, or that streams."""
        try:
            if route.is_stream:
                call_of = partial(self._call_of, request, route)
                response = await self._streams.answer(request, route, head, call_of)
            else:
                if route.terms.admission is not None:
                    await route.terms.admission.admit(request)
                message = await body.read(request, self._options.limits)
                reply = await self._call(request, route, head, message)
                response = route.writer.write(reply, request)
        except StatusError as error:
            return self._failed(request, route, error)
        response.rpc = route.name
        return response

    def _call(
        self, request: HttpRequest, route: Route, head: RequestHead, message: bytes
    ) -> Outcome[Reply]:
        """Makes a unary call for a request that is admitted. Raises StatusError."""
        call = self._call_of(request, route)
        return route.transport.unary(call, route.binder.bind(head, message))

    def _call_of(self, request: HttpRequest, route: Route) -> Call:
        seconds = route.terms.deadline_seconds
        if _TIMEOUT in request.names:
            seconds = metadata.timeout_seconds(header(request.headers, _TIMEOUT), seconds)
        return Call(
            path=route.path,
            metadata=metadata.from_request(request, self._options.denied_metadata),
            timeout_seconds=seconds,
        )

    def _answered(
        self, request: HttpRequest, route: Route, reply: Reply, error: BaseException | None
    ) -> HttpResponse:
        """Writes the outcome of a unary call."""
        if isinstance(error, StatusError):
            return self._failed(request, route, error)
        if error is not None:
            raise error
        try:
            response = route.writer.write(reply, request)
        except StatusError as failure:
            return self._failed(request, route, failure)
        response.rpc = route.name
        return response

    def _failed(
        self, request: HttpRequest, route: Route | None, error: StatusError
    ) -> HttpResponse:
        response = write_error(error, request.headers, self._codec)
        response.rpc = "" if route is None else route.name
        return response


def _must_wait(request: HttpRequest, route: Route) -> bool:
    """Says whether anything but the call itself takes time."""
    if route.is_stream or request.body is None:
        return True
    terms = route.terms
    return terms.admission is not None and not terms.admission.admit_now(request)


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
