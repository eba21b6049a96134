"""Servers that drain in the midst of a call, on a loop that is busy.

Run as `python -m tests.busy_drains FOLDER`; the folder is for certificates. In a process of its
own, since what may go wrong ends it.
"""

import asyncio
import contextlib
import itertools
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio

from tests import echo_server
from tests.echo import EchoRequest

_DRAINS = 10
_GRACE = timedelta(milliseconds=20)
# How long the loop stands still, over and over: what is due at about the same time comes at once.
_PAUSES_SECONDS = (0.0, 0.001, 0.003, 0.0, 0.003, 0.001)


async def _be_busy() -> None:
    for seconds in itertools.cycle(_PAUSES_SECONDS):
        time.sleep(seconds)  # noqa: ASYNC251  # that is what it is for
        await asyncio.sleep(0)


async def _drain_in_a_call(folder: Path) -> None:
    entered = asyncio.Event()

    async def hang(_request: Any, _context: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with contextlib.AsyncExitStack() as server:
        listening = await server.enter_async_context(
            echo_server.echoing(folder, hang, drain_grace=_GRACE)
        )
        async with echo_server.calling(folder, listening) as stub:
            call = asyncio.ensure_future(stub.Public(EchoRequest()))
            await entered.wait()
            await server.aclose()
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call


async def _main(folder: Path) -> None:
    echo_server.make_certificates(folder)
    busy = asyncio.create_task(_be_busy())
    for _ in range(_DRAINS):
        await _drain_in_a_call(folder)
    busy.cancel()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
