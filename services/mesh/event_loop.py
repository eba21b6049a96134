"""How the program of a process runs, hears that it shall stop, and leaves."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

from services.mesh import logs

_NEW_OBJECTS = 10_000


def run(program: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on uvloop, where there is one (docs/decisions/0011)."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.run(program)
    return uvloop.run(program)


def settle() -> None:
    """Spare calls the garbage collector's work, all that start-up made being made.

    What start-up made lives as long as the process: walking it at each full collection would hold
    up every call by about 30 ms. What calls make is freed when they end, so that the collector's
    usual 700 new objects mean no garbage but sixteen calls at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


async def stop_signal() -> None:
    """Return at the first SIGTERM or SIGINT; the next one has its usual, immediate effect."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived.set)
    await arrived.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


def leave(code: int) -> NoReturn:
    """End the process, all that it had being closed.

    At once, because gRPC's library would wait two seconds at exit for objects of its own.
    """
    logs.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
