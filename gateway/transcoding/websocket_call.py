"""Makes a streaming call over a WebSocket (docs/decisions/0078).

    client   text            a message as JSON, as the binding's body has it
             binary          a piece of a google.api.HttpBody, where the body is one
             empty text      no more messages: no browser can close one direction
             close           the call is cancelled
    server   text | binary   a message likewise
             text, close     {"@type": ".../google.rpc.Status", ..} and 4000 + its code: failed
             close           1000: the call ended well

A method that takes one message takes it from the path and the query, or where the binding has a
body, from the first message.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from gateway.transcoding import streaming
from gateway.transcoding.codec import Codec
from gateway.transcoding.errors import StatusError, code_name, refuse
from gateway.transcoding.http import ClientGone, WebSocket
from gateway.transcoding.request import RequestHead
from gateway.transcoding.route import Route
from gateway.transcoding.transport import Call, Messages

_FAILED: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketCall:
    """A call that is made when its WebSocket is open. Called with it, it speaks until the end."""

    route: Route
    call: Call
    codec: Codec
    bind: Callable[[bytes], bytes]
    """Makes a request message of a client's."""

    async def __call__(self, socket: WebSocket) -> None:
        """Makes the call. Raises ClientGone if the client leaves before its end."""
        try:
            replies = self.route.transport.stream(self.call, await self._request(socket))
            try:
                async for message in replies:
                    await socket.send(self._written(message))
            finally:
                await replies.aclose()
        except StatusError as error:
            await socket.send(streaming.status_line(error, self.codec).decode())
            code = error.status.code
            await socket.close(_FAILED + code, code_name(code))

    def _written(self, message: bytes) -> str | bytes:
        writer = self.route.writer
        return writer.raw(message).data if writer.is_raw else writer.to_json(message).decode()

    async def _request(self, socket: WebSocket) -> bytes | Messages:
        if self.route.binding.body is None:
            return self.bind(b"")
        messages = self.requests(socket)
        if self.route.binding.method.client_streaming:
            return messages
        first = await anext(messages, None)
        return self.bind(b"") if first is None else first

    async def requests(self, socket: WebSocket) -> AsyncIterator[bytes]:
        """Gives the client's messages until it has no more.

        Raises ClientGone if it leaves without saying so, StatusError for what is no message.
        """
        is_raw = self.route.binder.is_raw
        while (message := await socket.receive()) != "":
            if message is None:
                raise ClientGone
            if isinstance(message, str) == is_raw:
                raise refuse("", f"expected {'binary' if is_raw else 'text'}")
            yield self.bind(message if isinstance(message, bytes) else message.encode())


def prepared(route: Route, call: Call, head: RequestHead, codec: Codec) -> WebSocketCall:
    """Binds path, query and headers. Raises StatusError."""
    bind = route.binder.start(head)
    if route.binding.body is None:
        # What is wrong with it is better told as an HTTP status.
        bind(b"")
    return WebSocketCall(route=route, call=call, codec=codec, bind=bind)
