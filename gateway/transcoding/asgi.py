"""Serves a handler as an ASGI application.

The server is to cancel the application when the client goes away: nothing here asks for it, since
what there is to receive may be the body that a call is still reading.
"""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from gateway.transcoding.http import Chunks, ClientGone, Handler, HttpRequest, HttpResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS: Final = frozenset({204, 304})


def application(handler: Handler) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """Makes the application. It serves HTTP only: no lifespan, no WebSocket."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        request = HttpRequest(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            # What is not UTF-8 is refused with the parameter that has it.
            query=scope["query_string"].decode(errors="surrogateescape"),
            headers=scope["headers"],
            chunks=lambda: _chunks(receive),
            body=None if any(name in _BODY_HEADERS for name, _ in scope["headers"]) else b"",
        )
        try:
            answer = handler(request)
            response = answer if isinstance(answer, HttpResponse) else await answer
            await _respond(request, response, send)
        except ClientGone:
            # Nobody is left to answer.
            return

    return serve


async def _chunks(receive: Receive) -> Chunks:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message["body"]:
            yield message["body"]
        if not message.get("more_body"):
            return


async def _respond(request: HttpRequest, response: HttpResponse, send: Send) -> None:
    body = response.body
    headers = response.headers
    if isinstance(body, bytes) and response.status not in _BODILESS:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(body, bytes):
        is_shown = request.method != "HEAD" and response.status not in _BODILESS
        await send({"type": "http.response.body", "body": body if is_shown else b""})
    elif request.method == "HEAD":
        await body.aclose()
        await send({"type": "http.response.body", "body": b""})
    else:
        await _respond_in_chunks(body, send)


async def _respond_in_chunks(chunks: Chunks, send: Send) -> None:
    """Sends chunks until they end. Cancelled when the client goes away, it closes them."""
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
