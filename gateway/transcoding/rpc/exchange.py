"""Makes a call whose messages go both ways in envelopes, whatever dialect they are in.

request   envelope*               one message, or many as they come
answer    envelope* end           messages as they come; the end tells how the call went
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Final

from gateway.transcoding import body
from gateway.transcoding.body import Limits
from gateway.transcoding.call_body import CallBody
from gateway.transcoding.errors import StatusError, too_slow
from gateway.transcoding.http import Chunks, HttpRequest, HttpResponse, header
from gateway.transcoding.rpc.dialect import Dialect
from gateway.transcoding.rpc.envelope import EnvelopeReader
from gateway.transcoding.rpc.failure import as_rpc, not_one_message
from gateway.transcoding.transport import Call, ReplyStream

_TOO_MANY: Final = 2


async def answer(dialect: Dialect, request: HttpRequest) -> HttpResponse:
    """Makes the call. Every failure of it is an answer, too."""
    try:
        dialect.agree(request.headers)
        timeout = dialect.timeout_seconds(request.headers)
        call = await dialect.endpoint.admitted(request, timeout)
        return await _exchanged(dialect, request, call)
    except StatusError as error:
        response = dialect.head(error.initial)
        response.body = dialect.end(error.trailers, as_rpc(error))
        return response


async def _exchanged(dialect: Dialect, request: HttpRequest, call: Call) -> HttpResponse:
    """Makes the call. Raises StatusError if it fails before its answer begins."""
    method, transport = dialect.endpoint.method, dialect.endpoint.transport
    limits = dialect.endpoint.shared.limits
    if not method.client_streaming and not method.server_streaming:
        reply = await transport.unary(call, await _one_message(request, dialect, limits))
        response = dialect.head(reply.headers)
        response.body = dialect.write(reply.message) + dialect.end(reply.trailers, None)
        return response
    requests = (
        _messages(request, dialect, limits)
        if method.client_streaming
        else await _one_message(request, dialect, limits)
    )
    replies = transport.stream(call, requests)
    try:
        # What a service says first stands in the header of the answer.
        response = dialect.head(await replies.headers())
    except BaseException:
        await replies.aclose()
        raise
    response.body = CallBody(_frames(replies, dialect), replies.aclose)
    return response


async def _one_message(request: HttpRequest, dialect: Dialect, limits: Limits) -> bytes:
    if request.body is not None and header(request.headers, b"content-encoding") is None:
        # Nothing has to be waited for.
        return _only(request.body, dialect, limits)
    found: list[bytes] = []
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for message in _messages(request, dialect, limits):
                found.append(message)
                if len(found) > 1:
                    break
    except TimeoutError:
        raise too_slow() from None
    if len(found) != 1:
        raise not_one_message(len(found))
    return found[0]


def _only(whole: bytes, dialect: Dialect, limits: Limits) -> bytes:
    reader = EnvelopeReader(limits.body_bytes)
    found = list(itertools.islice(reader.feed(dialect.whole(whole)), _TOO_MANY))
    if len(found) < _TOO_MANY:
        reader.finish()
    if len(found) != 1:
        raise not_one_message(len(found))
    return dialect.read(*found[0])


async def _messages(request: HttpRequest, dialect: Dialect, limits: Limits) -> AsyncIterator[bytes]:
    reader = EnvelopeReader(limits.body_bytes)
    async for piece in dialect.pieces(body.stream(request, limits)):
        for flags, message in reader.feed(piece):
            yield dialect.read(flags, message)
    reader.finish()


async def _frames(replies: ReplyStream, dialect: Dialect) -> Chunks:
    try:
        async for message in replies:
            yield dialect.write(message)
    except StatusError as error:
        yield dialect.end(error.trailers, as_rpc(error))
    else:
        yield dialect.end(replies.trailers, None)
