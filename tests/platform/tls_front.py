"""A front that speaks TLS for a store that does not."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

from tests import accepting

_PIECE_BYTES = 64 * 1024
_PATIENCE_SECONDS = 60
# PostgreSQL's SSLRequest, and the answer that TLS comes next (Frontend/Backend Protocol, 54.7).
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_WILLING = b"S"


@contextmanager
def listening(
    store: str, hosts: Sequence[str], certificate: Path, key: Path, *, is_postgres: bool
) -> Iterator[int]:
    """Passes to the store at an address what comes over TLS; yields the port.

    PostgreSQL's clients ask for TLS before they begin it; others begin it at once. The front has a
    loop of its own in a thread, since MongoDB's client blocks its loop when it says farewell.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        serving.add(task)
        try:
            await carry(reader, writer)
        finally:
            writer.close()
            serving.discard(task)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Of clients that trust nobody here, connections end in the middle of a handshake.
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            if is_postgres:
                if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                    return
                writer.write(_WILLING)
                await writer.drain()
                await writer.start_tls(context)
            host, _, port = store.rpartition(":")
            behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pass(reader, behind_writer))
                ways.create_task(_pass(behind_reader, writer))

    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        at_once = None if is_postgres else context
        end = asyncio.Event()
        async with AsyncExitStack() as stack:
            port = 0
            for host in hosts:
                server = await asyncio.start_server(serve, host, port, ssl=at_once)
                stack.push_async_callback(_close, server, serving)
                port = server.sockets[0].getsockname()[1]
            ready.set_result((port, asyncio.get_running_loop(), end))
            await end.wait()

    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(asyncio.run, run())
        port, loop, end = ready.result(_PATIENCE_SECONDS)
        try:
            yield port
        finally:
            loop.call_soon_threadsafe(end.set)
            running.result(2 * _PATIENCE_SECONDS)


async def _close(server: asyncio.Server, serving: set[asyncio.Task[None]]) -> None:
    """Closes a server, whose clients have left, once it has noticed that.

    Before Python 3.12 `wait_closed` waits for no connection.
    """
    await accepting.close(server)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while serving or getattr(server, "_active_count", 0) > 0:
            await asyncio.sleep(0.01)
    await accepting.some_turns()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.close()
