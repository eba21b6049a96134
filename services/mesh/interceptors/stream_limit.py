"""Bounds how many streams one caller has open at a process.

A stream takes no room of the process's limit, as it mostly waits (`admission`). But each has a
task and reads now and then: one person, or somebody unknown at one address, could hold as many as
connections allow, and keep everybody else from watching.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

from services.mesh import identity
from services.mesh.client_address import client_address
from services.mesh.errors import ResourceExhausted
from services.mesh.interceptors import Context, Handler, Interceptor
from services.mesh.policy import Method

_RETRY_AFTER = timedelta(seconds=10)


class TooManyStreams(ResourceExhausted):
    """The caller has as many streams open as one may have."""

    reason = "TOO_MANY_STREAMS"


def stream_limit(most: int) -> Interceptor:
    """Return the interceptor that lets a caller have `most` streams of answers, of all RPCs.

    A caller is a person or, without one, the client's address that the gateway tells. Services have
    no bound. Raises TooManyStreams.
    """
    open_streams: Counter[str] = Counter()

    def intercept(method: Method, handler: Handler) -> Handler:
        if not method.server_streaming:
            return handler

        async def handle(request: Any, context: Context) -> Any:
            who = identity.caller().subject or client_address()
            if not who:
                return await handler(request, context)
            if open_streams[who] >= most:
                message = f"one may have {most} streams open; close one first"
                raise TooManyStreams(message, retry_after=_RETRY_AFTER)
            open_streams[who] += 1
            try:
                return await handler(request, context)
            finally:
                open_streams[who] -= 1
                if not open_streams[who]:
                    del open_streams[who]

        return handle

    return intercept
