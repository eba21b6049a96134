"""Clients that do not get on."""

import asyncio
import socket

import pytest

from gateway import http_server


async def nothing(*_: object) -> None:
    """Answers nothing; no request arrives."""


async def test_a_header_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch):
    """A client that sends half a header is told so, and cut off."""
    monkeypatch.setattr(http_server, "HEADER_SECONDS", 0.1)
    listening = socket.create_server(("127.0.0.1", 0))
    server = http_server.server(nothing, drain_seconds=1)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nx-half: ")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.should_exit = True
        await serving
    assert b"HTTP/1.1 408 " == answer[:13]
    assert b"x-request-id: " in answer
