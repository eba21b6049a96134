"""Answers HTTP requests by calls to services.

    match the route -> admit -> bind the request -> call -> write the response

Everything that depends on the binding alone is built at start; a request pays for itself only.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.transcoding import body, etag, fields, metadata, streaming
from gateway.transcoding.bindings import Binding
from gateway.transcoding.body import Limits
from gateway.transcoding.codec import Codec
from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.errors import (
    Headers,
    StatusError,
    internal,
    method_not_allowed,
    not_found,
)
from gateway.transcoding.etag import TagStyles
from gateway.transcoding.http import Chunks, HttpRequest, HttpResponse, accepts, header
from gateway.transcoding.json_message import JsonReader
from gateway.transcoding.percent import Decoding
from gateway.transcoding.request import HeaderField, RequestBinder, RequestHead
from gateway.transcoding.response import ResponseWriter, content_type, write_error
from gateway.transcoding.router import Match, Router
from gateway.transcoding.streaming import EVENT_STREAM, NDJSON, Lookahead
from gateway.transcoding.transport import Call, Messages, Reply, ReplyStream, Transport

_FIRST_MESSAGE_SECONDS: Final = 2.0
_ID_DIGITS: Final = 19
# AIP-155: the field that makes a repeated call the same call.
_REQUEST_ID: Final = "request_id"

Admit = Callable[[Headers], Awaitable[None]]
"""Raises StatusError if the caller may not make the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a method may be called."""

    deadline_seconds: float | None = None
    """None lets it take as long as it takes."""
    admit: Admit | None = None
    """None admits everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How requests are read."""

    decoding: Decoding = Decoding.EXCEPT_SLASH
    ignore_unknown_fields: bool = False
    limits: Limits = field(default_factory=Limits)
    denied_metadata: re.Pattern[str] | None = None
    """Metadata keys that a client must not set, besides those nobody lets it set."""
    terms: Callable[[Method], Terms] = lambda _: Terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    binding: Binding
    binder: RequestBinder
    writer: ResponseWriter
    transport: Transport
    terms: Terms


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
    ) -> _Route:
        terms = self._options.terms(binding.method)
        return _Route(
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

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answers a request. Every failure of a call is an answer, too."""
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
        self, request: HttpRequest, route: _Route, segments: list[str]
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
            return await self._answer_stream(request, route, head, call)
        message = route.binder.bind(head, await body.read(request, self._options.limits))
        reply = await route.transport.unary(call, message)
        return route.writer.write(reply, request.headers, request.method)

    async def _answer_stream(
        self, request: HttpRequest, route: _Route, head: RequestHead, call: Call
    ) -> HttpResponse:
        replies = route.transport.stream(call, await self._requests(request, route, head))
        messages = Lookahead(aiter(replies))
        try:
            if route.binding.method.server_streaming:
                return await self._answer_many(request, route, replies, messages)
            reply = await _only_reply(replies, messages)
        except BaseException:
            await _close(messages, replies)
            raise
        return route.writer.write(reply, request.headers, request.method)

    async def _requests(
        self, request: HttpRequest, route: _Route, head: RequestHead
    ) -> bytes | Messages:
        limits = self._options.limits
        if not route.binding.method.client_streaming or route.binding.body is None:
            return route.binder.bind(head, await body.read(request, limits))
        values = streaming.read_values(body.stream(request, limits), limits.body_bytes)
        return streaming.mapped(values, route.binder.start(head))

    async def _answer_many(
        self, request: HttpRequest, route: _Route, replies: ReplyStream, messages: Lookahead
    ) -> HttpResponse:
        # A call that fails before its first message fails with a status line of its own. One that
        # is silent is answered all the same, so that the client knows that it is on.
        is_known = await messages.is_ready(_FIRST_MESSAGE_SECONDS) or route.writer.is_raw
        failure = messages.failure()
        if failure is not None:
            raise failure
        headers = metadata.to_headers(await replies.headers(), ()) if is_known else []
        if route.writer.is_raw:
            first = route.writer.raw(await anext(messages, b""))
            headers.append((b"content-type", content_type(first)))
            frames = _raw(first.data, messages, route.writer)
        else:
            texts = Lookahead(streaming.mapped(messages, route.writer.to_json))
            wants_events = accepts(request.headers, EVENT_STREAM)
            headers.append((b"content-type", (EVENT_STREAM if wants_events else NDJSON).encode()))
            headers.append((b"cache-control", b"no-store"))
            # Tells nginx and its kin to pass messages on as they come.
            headers.append((b"x-accel-buffering", b"no"))
            frames = (
                streaming.to_events(texts, self._codec, after=_last_event(request.headers))
                if wants_events
                else streaming.to_ndjson(texts, self._codec)
            )
        return HttpResponse(status=200, headers=headers, body=_closing(frames, messages, replies))


async def _only_reply(replies: ReplyStream, messages: Lookahead) -> Reply:
    """Takes the one answer of a client-streaming call, and the status after it."""
    message = await anext(messages, None)
    if message is None or await anext(messages, None) is not None:
        raise internal()
    return Reply(message=message, headers=await replies.headers(), trailers=replies.trailers)


async def _raw(first: bytes, messages: Lookahead, writer: ResponseWriter) -> Chunks:
    """Gives the data of raw bodies. A failure cuts the answer off, having no other way to show."""
    yield first
    async for message in messages:
        yield writer.raw(message).data


async def _closing(frames: Chunks, messages: Lookahead, replies: ReplyStream) -> Chunks:
    """Ends the call when the answer ends, or when the client goes away."""
    try:
        async for frame in frames:
            yield frame
    finally:
        await _close(messages, replies)


async def _close(messages: Lookahead, replies: ReplyStream) -> None:
    await messages.aclose()
    await replies.aclose()


def _unmatched(method: str, allow: frozenset[str]) -> HttpResponse:
    if not allow:
        raise not_found()
    if method != "OPTIONS":
        raise method_not_allowed(allow)
    allowed = ", ".join(sorted({*allow, "OPTIONS"}))
    return HttpResponse(status=204, headers=[(b"allow", allowed.encode())])


def _last_event(headers: Headers) -> int:
    text = header(headers, b"last-event-id") or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _ID_DIGITS else 0


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
