"""The proxy behaves as badly as it is told to, and well again when it is healed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests import accepting
from tests.chaos.tcp_proxy import TcpProxy

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _echo() -> AsyncIterator[tuple[TcpProxy, list[bytes]]]:
    """Yields a proxy before a server that sends back what it gets, and what that got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                got.append(data)
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with accepting.closing(server) as port, TcpProxy(f"127.0.0.1:{port}") as proxy:
        yield proxy, got


async def _connect(proxy: TcpProxy) -> Ends:
    host, _, port = proxy.address.partition(":")
    return await asyncio.open_connection(host, int(port))


async def _say(ends: Ends, text: bytes, *, seconds: float = 60) -> bytes:
    reader, writer = ends
    writer.write(text)
    async with asyncio.timeout(seconds):
        return await reader.readexactly(len(text))


async def test_passes_on():
    """What goes in comes out, both ways, and the end of one side is the end of the other."""
    async with _echo() as (proxy, _):
        reader, writer = ends = await _connect(proxy)
        assert await _say(ends, b"hello") == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_cut():
    """A cut resets the connection for the client."""
    async with _echo() as (proxy, _):
        ends = await _connect(proxy)
        await _say(ends, b"hello")
        assert proxy.cut() == 1
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await _say(ends, b"hello")
        ends[1].close()


async def test_held_comes_late():
    """What is said into a black hole arrives when that is gone."""
    async with _echo() as (proxy, _):
        ends = await _connect(proxy)
        proxy.hold()
        with pytest.raises(TimeoutError):
            await _say(ends, b"hello", seconds=0.1)
        proxy.heal()
        assert await ends[0].readexactly(5) == b"hello"
        ends[1].close()


async def test_dropped_is_lost():
    """What is dropped never arrives, and the connection is reset when the proxy heals."""
    async with _echo() as (proxy, got):
        ends = await _connect(proxy)
        proxy.backward.dropped = True
        with pytest.raises(TimeoutError):
            await _say(ends, b"hello", seconds=0.1)
        async with asyncio.timeout(60):
            while not any(each.incomplete for each in proxy._connections):  # noqa: SLF001 - whether it was dropped
                await asyncio.sleep(0.01)
        proxy.heal()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await _say(ends, b"again")
        assert got[0] == b"hello"
        ends[1].close()


async def test_delayed():
    """A delay holds each piece back for so long."""
    async with _echo() as (proxy, _):
        ends = await _connect(proxy)
        proxy.forward.delay_seconds = 0.1
        began = asyncio.get_running_loop().time()
        await _say(ends, b"hello")
        assert asyncio.get_running_loop().time() - began >= 0.1
        ends[1].close()


async def test_throttled():
    """No more bytes pass in a second than the direction allows."""
    async with _echo() as (proxy, _):
        ends = await _connect(proxy)
        proxy.forward.bytes_per_second = 5000
        began = asyncio.get_running_loop().time()
        await _say(ends, b"x" * 1000)
        assert asyncio.get_running_loop().time() - began >= 0.2
        ends[1].close()


async def test_duplicated():
    """What the client says comes to the server twice, and is answered once."""
    async with _echo() as (proxy, got):
        ends = await _connect(proxy)
        proxy.duplicated = True
        assert await _say(ends, b"hello") == b"hello"
        async with asyncio.timeout(60):
            while got != [b"hello", b"hello"]:
                await asyncio.sleep(0.01)
        ends[1].close()


async def test_refused():
    """A proxy that refuses ends each new connection at once."""
    async with _echo() as (proxy, _):
        proxy.refusing = True
        reader, writer = await _connect(proxy)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
