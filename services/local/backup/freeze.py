"""Holds the services still, so that all stores are read as of one moment.

A stopped process (SIGSTOP) keeps its connections and transactions; its callers wait. Another
process lets them go on when it is told to, and also when the one that stopped them dies.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterable

_TIMEOUT_SECONDS = 10


class CannotFreeze(Exception):
    """The services cannot be held still; the message says why."""


async def writers(supervisor: int, modules: Iterable[str]) -> list[int]:
    """Returns the ids of the supervisor's children that run one of the Python modules."""
    process = await asyncio.create_subprocess_exec(
        *("ps", "-A", "-o", "pid=,ppid=,args="), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
    wanted = tuple(f" -m {module}" for module in modules)
    found = []
    for line in output.decode(errors="replace").splitlines():
        pid, parent, arguments = line.split(maxsplit=2)
        if int(parent) == supervisor and any(f"{module} " in f"{arguments} " for module in wanted):
            found.append(int(pid))
    return found


@contextlib.asynccontextmanager
async def frozen(pids: list[int]) -> AsyncIterator[None]:
    """Holds the processes still for the length of the block. Raises CannotFreeze."""
    if not pids:
        yield
        return
    command = f"read _; kill -CONT {' '.join(map(str, pids))}"
    thaw = await asyncio.create_subprocess_exec(
        *("sh", "-c", command), stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert thaw.stdin  # noqa: S101 - a pipe, as asked for
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    except ProcessLookupError as error:
        raise CannotFreeze("a service ended just now: try again when all are up") from error
    finally:
        thaw.stdin.close()
        await asyncio.wait_for(thaw.wait(), _TIMEOUT_SECONDS)
