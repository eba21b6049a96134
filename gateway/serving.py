"""Takes the gateway's address, answers there until a signal, and drains."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable
from typing import Final

import structlog

from gateway.client_address import ClientAddresses
from gateway.edge import fixed_lines
from gateway.http1.limits import Limits
from gateway.http1.server import Server
from gateway.http1.workers import Parent
from gateway.settings import GatewaySettings
from gateway.transcoding.http import Handler
from services.mesh import event_loop
from services.mesh.address import CannotListen, host_and_port

# Beside clients: upstreams, listeners, logs, files.
_OTHER_OPEN_FILES: Final = 200

_log = structlog.get_logger(__name__)


def bind(address: str, *, is_shared: bool = False) -> socket.socket:
    """Takes `HOST:PORT`, alone or together with others that share it. Raises CannotListen.

    One that is shared does not listen yet: connections would wait for whoever serves nothing.
    """
    host, port = host_and_port(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(where)
            if not is_shared:
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
    addresses = ClientAddresses(environment.trusted_proxies)
    limits = Limits(
        connections=environment.max_connections,
        connections_per_client=environment.max_connections_per_address,
    )
    async with Server(
        handler, limits, fixed=fixed_lines(environment.hsts), client_of=addresses.of_peer
    ) as server:
        await server.listen(listening)
        event_loop.settle()
        _log.info("serving", address=address_of(listening), metrics_port=metrics_port)
        await _stop(environment)
        on_drain()
        _log.info("draining")
        await asyncio.sleep(environment.drain_wait.total_seconds())
        await server.drain(environment.drain_grace.total_seconds())


def address_of(listening: socket.socket) -> str:
    """Gives `HOST:PORT`, as it was taken."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if listening.family == socket.AF_INET6 else f"{host}:{port}"


async def _stop(environment: GatewaySettings) -> None:
    """Waits for a signal; a worker stops with its parent, too."""
    if environment.worker is None:
        await event_loop.stop_signal()
        return
    parent = Parent()
    parent.tell_serving()
    await event_loop.stop_signal()
    parent.close()


def _allow_open_files(wanted: int) -> None:
    """Raises the soft limit on open files, where the hard one lets it; each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        # macOS has a lower limit of its own.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
