"""Answers HTTP requests by streaming calls.

server stream     NDJSON or Server-Sent Events out (`streaming`), or a raw body
client stream     NDJSON or a JSON array in (`json_stream`), or a raw body; one answer out
both              at once, message for message
any of them       over a WebSocket (`websocket_call`)
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from gateway.transcoding import (
    body,
    json_stream,
    metadata,
    streaming,
    websocket_call,
    websocket_handshake,
)
from gateway.transcoding.body import Limits
from gateway.transcoding.call_body import CallBody
from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import Headers, internal
from gateway.transcoding.http import Chunks, HttpRequest, HttpResponse, accepts, header
from gateway.transcoding.request import RequestHead
from gateway.transcoding.response import ResponseWriter, content_type
from gateway.transcoding.route import Route
from gateway.transcoding.streaming import EVENT_STREAM, NDJSON, Lookahead
from gateway.transcoding.transport import Call, Messages, Reply, ReplyStream

_FIRST_MESSAGE_SECONDS: Final = 2.0
_ID_DIGITS: Final = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCalls:
    """Makes the calls of streaming methods."""

    codec: Codec
    limits: Limits
    origins: Collection[str] = ()
    """Whose pages may open WebSockets, besides our own."""

    async def answer(
        self, request: HttpRequest, route: Route, head: RequestHead, call_of: Callable[[], Call]
    ) -> HttpResponse:
        """Makes the call. Raises StatusError for one that fails before its first message."""
        agreed: Headers | None = None
        if websocket_handshake.is_handshake(request):
            agreed = websocket_handshake.accept(request, self.origins)
        if route.terms.admission is not None:
            await route.terms.admission.admit(request)
        call = call_of()
        if agreed is not None:
            speak = websocket_call.prepared(route, call, head, self.codec)
            return HttpResponse(status=101, headers=agreed, websocket=speak)
        replies = route.transport.stream(call, await self._requests(request, route, head))
        messages = Lookahead(aiter(replies))
        try:
            if route.binding.method.server_streaming:
                return await self._answer_many(request, route, replies, messages)
            reply = await _only_reply(replies, messages)
        except BaseException:
            await _close(messages, replies)
            raise
        return route.writer.write(reply, request)

    async def _requests(
        self, request: HttpRequest, route: Route, head: RequestHead
    ) -> bytes | Messages:
        if not route.binding.method.client_streaming or route.binding.body is None:
            return route.binder.bind(head, await body.read(request, self.limits))
        pieces = body.stream(request, self.limits)
        if not route.binder.is_raw:
            pieces = json_stream.read_values(pieces, self.limits.body_bytes)
        return streaming.mapped(pieces, route.binder.start(head))

    async def _answer_many(
        self, request: HttpRequest, route: Route, replies: ReplyStream, messages: Lookahead
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
            wants_events = accepts(request.headers, EVENT_STREAM)
            headers.append((b"content-type", (EVENT_STREAM if wants_events else NDJSON).encode()))
            headers.append((b"cache-control", b"no-store"))
            # Tells nginx and its kin to pass messages on as they come.
            headers.append((b"x-accel-buffering", b"no"))
            texts = Lookahead(streaming.mapped(messages, route.writer.to_json))
            frames = (
                streaming.to_events(texts, self.codec, after=_last_event(request.headers))
                if wants_events
                else streaming.to_ndjson(texts, self.codec)
            )

        async def end() -> None:
            await _close(messages, replies)

        return HttpResponse(status=200, headers=headers, body=CallBody(frames, end))


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


async def _close(messages: Lookahead, replies: ReplyStream) -> None:
    await messages.aclose()
    await replies.aclose()


def _last_event(headers: Headers) -> int:
    text = header(headers, b"last-event-id") or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _ID_DIGITS else 0
