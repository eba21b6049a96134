"""Renews the certificates of a mesh that runs, before they are due, and has others renew them.

leaf with a third of its life left        another one, by the same authority
authority with a third of its life left   a roll-over (`rollover`), step by step
"""

import asyncio
import contextlib
import time
from typing import Never

from services.local import certs, endpoints, file_lock, rollover, topology, uptake
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints, NotRunning
from services.local.rollover import Heard
from services.local.uptake import NotTakenUp

# Often, since the time while a machine sleeps does not count as waiting.
_PERIOD_SECONDS = 30.0


def running(folder: DataFolder) -> Endpoints | None:
    """Returns where the mesh of this folder runs, None if it does not."""
    with contextlib.suppress(NotRunning):
        return endpoints.load(folder)
    return None


def hearing(folder: DataFolder, where: Endpoints | None, console: Console) -> Heard:
    """Returns what waits until a running mesh has taken up what was written, and tells of it."""

    async def wait(done: str) -> None:
        began = time.monotonic()
        if where is not None:
            await uptake.of_certificates(folder, where)
        console.done("certificates", time.monotonic() - began, done)

    return wait


async def keep(folder: DataFolder, where: Endpoints, console: Console) -> Never:
    """Renews what is due, until cancelled."""
    while True:
        await asyncio.sleep(_PERIOD_SECONDS)
        try:
            await renew(folder, hearing(folder, where, console))
        except file_lock.Busy:
            continue
        except (NotTakenUp, OSError, ValueError) as error:
            console.warn(f"certificates: {error}")


async def renew(folder: DataFolder, heard: Heard) -> None:
    """Renews what is due. Raises Busy, OSError, ValueError, or what `heard` raises."""
    with certs.locked(folder.certs):
        issued = certs.ensure(folder.certs, topology.IDENTITIES)
        if issued:
            await heard(f"issued {', '.join(issued)}")
        is_due = any(map(certs.is_due, certs.trusted(folder.certs)))
        if is_due or rollover.is_under_way(folder.certs):
            await rollover.finish(folder.certs, topology.IDENTITIES, heard)
