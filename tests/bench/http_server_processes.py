"""The servers that `http_server.py` measures: `python -m tests.bench.http_server_processes NAME`.

    http1     our own, with a handler that answers at once
    future    the same, with a handler that answers by a Future, as a call to a service does
    uvicorn   uvicorn with httptools, with an ASGI application that does as little

Prints its port; writes a line with the CPU seconds it has used for each line it reads.
"""

import asyncio
import os
import socket
import sys
import time
from typing import Any, Final

import uvicorn
import uvloop

from gateway.http1.server import Server
from gateway.transcoding.http import Answer, HttpRequest, HttpResponse

CPU: Final = 0
BODY: Final = b"{" + b"m" * 288 + b"}"
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"x-request-id", b"01a2092a-1501-76b2-ad66-4d9c138617d5"),
]


def main() -> None:
    """Serves until its input ends."""
    os.sched_setaffinity(0, {CPU})
    uvloop.run(_serve(sys.argv[1]))


async def _serve(name: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    if name == "uvicorn":
        config = uvicorn.Config(_application, ws="none", lifespan="off", log_config=None)
        serving = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening]))
        await asyncio.to_thread(_report)
        serving.cancel()
        return
    async with Server(_answer if name == "http1" else _answer_later) as server:
        await server.listen(listening)
        await asyncio.to_thread(_report)


def _report() -> None:
    for _ in sys.stdin:
        print(time.process_time(), flush=True)


def _answer(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200, headers=list(_HEADERS), body=BODY)


def _answer_later(request: HttpRequest) -> Answer:
    loop = asyncio.get_running_loop()
    later: asyncio.Future[HttpResponse] = loop.create_future()
    loop.call_soon(later.set_result, _answer(request))
    return later


async def _application(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [*_HEADERS, (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    main()
