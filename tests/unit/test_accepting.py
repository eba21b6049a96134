"""Servers of tests serve all that they have accepted, and only then end."""

import asyncio
import select
import socket

import pytest

from tests import accepting


@pytest.mark.parametrize("turns", range(6))
async def test_what_was_accepted_is_served(turns: int) -> None:
    """However late a connection came, it is served or was never accepted; none is left open."""
    served = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()[:2]):
        # It is on its way for a moment: from here on its coming is a question of turns alone.
        select.select(server.sockets, [], [], 10)
        for _ in range(turns):
            await asyncio.sleep(0)
        await accepting.close(server)
        await accepting.some_turns()
    assert served == (turns > 1)
