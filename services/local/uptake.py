"""Whether the running processes have taken up what was written for them, as their metrics tell."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.local import certs
from services.local.data_folder import DataFolder
from services.local.endpoints import Endpoints
from services.mesh import certificate_metrics

_POLL_SECONDS = 0.2
_PATIENCE = timedelta(seconds=60)
_CALL = aiohttp.ClientTimeout(total=2)

Metrics = Mapping[str, Metric]
"""What one process tells, by name."""


class NotTakenUp(Exception):
    """Processes still use what they had; the message names them and says what to do."""


async def of_certificates(folder: DataFolder, where: Endpoints) -> None:
    """Returns when every process shows and trusts what the folder holds. Raises NotTakenUp."""
    authorities = {certs.fingerprint(each) for each in certs.trusted(folder.certs)}
    leaves = {
        name: certs.fingerprint(each) for name, each in certs.certificates(folder.certs).items()
    }

    def has_taken_up(name: str, found: Metrics) -> bool:
        trusted = _fingerprints(found, certificate_metrics.TRUSTED)
        return trusted == authorities and _fingerprints(found, certificate_metrics.SHOWN) == {
            leaves[name]
        }

    await everywhere(where, has_taken_up)


async def everywhere(
    where: Endpoints,
    has_taken_up: Callable[[str, Metrics], bool],
    *,
    patience: timedelta = _PATIENCE,
) -> None:
    """Returns when it is so of every process, by its name and metrics. Raises NotTakenUp."""
    deadline = time.monotonic() + patience.total_seconds()
    left = dict(where.metrics)
    async with aiohttp.ClientSession(timeout=_CALL) as session:
        while True:
            for name, address in tuple(left.items()):
                if has_taken_up(name, await _read(session, address)):
                    del left[name]
            if not left:
                return
            if time.monotonic() > deadline:
                raise NotTakenUp(
                    f"{', '.join(sorted(left))} did not take it up within"
                    f" {patience.total_seconds():g} s; nothing is lost: see that it runs, then give"
                    " the same command again, which goes on where it was"
                )
            await asyncio.sleep(_POLL_SECONDS)


async def _read(session: aiohttp.ClientSession, address: str) -> Metrics:
    """Returns the metrics of a process; none while it cannot be reached."""
    try:
        async with session.get(f"http://{address}/metrics") as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return {}
    return {family.name: family for family in text_string_to_metric_families(text)}


def _fingerprints(found: Metrics, name: str) -> set[str]:
    return (
        {sample.labels["fingerprint"] for sample in found[name].samples} if name in found else set()
    )
