"""A front that speaks TLS for a store that does not."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_PIECE_BYTES = 64 * 1024
# PostgreSQL's SSLRequest, and the answer that TLS comes next (Frontend/Backend Protocol, 53.7).
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_WILLING = b"S"


@asynccontextmanager
async def listening(
    store: str, hosts: Sequence[str], certificate: Path, key: Path, *, is_postgres: bool
) -> AsyncIterator[int]:
    """Passes to the store at an address what comes over TLS; yields the port.

    PostgreSQL's clients ask for TLS before they begin it; others begin it at once.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    host, _, port = store.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Of clients that trust nobody here, connections end in the middle of a handshake.
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            if is_postgres:
                if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                    return
                writer.write(_WILLING)
                await writer.drain()
                await writer.start_tls(context)
            behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pass(reader, behind_writer))
                ways.create_task(_pass(behind_reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, hosts[0], 0, ssl=None if is_postgres else context)
    taken: int = server.sockets[0].getsockname()[1]
    others = [
        await asyncio.start_server(serve, each, taken, ssl=None if is_postgres else context)
        for each in hosts[1:]
    ]
    try:
        yield taken
    finally:
        for each in (server, *others):
            each.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.close()
