"""Tells probes and clients whether the process can serve (grpc.health.v1).

""            ready: every check passes, and no drain has begun
"<service>"   the same, by the full name of each gRPC service
"liveness"    the process answers, whatever it depends on; until a drain begins
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from grpc_health.v1 import health, health_pb2

from services.mesh.app import Check

LIVENESS = "liveness"

_PERIOD_SECONDS = 5.0
_CHECK_SECONDS = 2.0

_log = structlog.get_logger(__name__)
_Status = health_pb2.HealthCheckResponse


class Health:
    """The statuses of a process, driven by its checks. `servicer` answers for them."""

    def __init__(self, services: Iterable[str], checks: Mapping[str, Check]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._ready_names = ("", *services)
        self._checks = checks
        self._failing: frozenset[str] | None = None

    async def begin(self) -> None:
        """Be alive but not ready, until the first `update`."""
        await self.servicer.set(LIVENESS, _Status.SERVING)
        for name in self._ready_names:
            await self.servicer.set(name, _Status.NOT_SERVING)

    async def update(self) -> bool:
        """Run every check, side by side; returns whether the process is ready."""
        results = await asyncio.gather(*(self._passes(name) for name in self._checks))
        failing = frozenset(
            name for name, passed in zip(self._checks, results, strict=True) if not passed
        )
        if failing != self._failing:
            self._failing = failing
            status = _Status.NOT_SERVING if failing else _Status.SERVING
            for name in self._ready_names:
                await self.servicer.set(name, status)
            _log.info("not ready" if failing else "ready", failing=sorted(failing))
        return not failing

    async def watch(self) -> None:
        """Update every five seconds until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            await self.update()

    async def drain(self) -> None:
        """Be not ready for good."""
        await self.servicer.enter_graceful_shutdown()

    async def _passes(self, name: str) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001  # whatever it is, it means not ready
            _log.warning("check failed", check=name, error=repr(error))
            return False
        return True
