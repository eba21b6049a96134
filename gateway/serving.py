"""Takes the gateway's address, answers there until a signal, and drains."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable
from typing import Final

import structlog

from gateway.http1.limits import Limits
from gateway.http1.server import Server
from gateway.settings import GatewaySettings
from gateway.transcoding.http import Handler
from services.mesh import event_loop
from services.mesh.address import CannotListen, host_and_port

# Beside clients: upstreams, listeners, logs, files.
_OTHER_OPEN_FILES: Final = 200

_log = structlog.get_logger(__name__)


def bind(address: str) -> socket.socket:
    """Takes `HOST:PORT`. Raises CannotListen."""
    host, port = host_and_port(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise CannotListen(f"the gateway cannot listen on {address}: {error.strerror}") from error
    return listening


async def answer_until_signal(
    handler: Handler,
    listening: socket.socket,
    environment: GatewaySettings,
    metrics_port: int | None,
    *,
    on_drain: Callable[[], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then drains: not ready, a wait, no new connections.

    `metrics_port` is where /metrics is, to tell of it; `on_drain` is called when the drain begins.
    """
    _allow_open_files(environment.max_connections + _OTHER_OPEN_FILES)
    async with Server(handler, Limits(connections=environment.max_connections)) as server:
        await server.listen(listening)
        host, port = listening.getsockname()[:2]
        _log.info("serving", address=f"{host}:{port}", metrics_port=metrics_port)
        await event_loop.stop_signal()
        on_drain()
        _log.info("draining")
        await asyncio.sleep(environment.drain_wait.total_seconds())
        await server.drain(environment.drain_grace.total_seconds())


def _allow_open_files(wanted: int) -> None:
    """Raises the soft limit on open files, where the hard one lets it; each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        # macOS has a lower limit of its own.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
