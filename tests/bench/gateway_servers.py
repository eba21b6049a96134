"""The gateways that `gateway.py` measures, each a process of its own on its core."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local import ports
from tests.bench.gateway_cases import SERVICE
from tests.envoy import running as run_envoy

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MB: Final = 1e6
_SECONDS_TO_STOP: Final = 20
_SERVING: Final = b'"event":"serving"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running gateway."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path | None = None
    workers: int = 1

    def is_whole(self) -> bool:
        """Says whether all its workers serve, as its log tells."""
        return self.log is None or self.log.read_bytes().count(_SERVING) >= self.workers

    def pids(self) -> list[int]:
        """Lists its processes: itself and its children."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, task.read_text(encoding="ascii").split())]

    def cpu_seconds(self) -> dict[int, float]:
        """Gives the CPU time, user and system, that each of its processes has taken."""
        return {pid: cpu_seconds(pid) for pid in self.pids()}

    def resident_mb(self) -> float:
        """Gives the resident memory of all its processes."""
        return sum(_resident_bytes(pid) for pid in self.pids()) / _MB


def cpu_seconds(pid: int) -> float:
    """Gives the CPU time, user and system, that a process has taken."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a gateway is started."""

    upstream: str
    """The backend's address."""
    descriptors: Path
    logs: Path
    """A folder."""
    python: str
    """Runs FastAPI and our gateway."""


Start = Callable[[Place], AbstractContextManager[Server]]


@contextmanager
def fastapi(place: Place) -> Iterator[Server]:
    """Runs FastAPI before gRPC."""
    [port] = ports.free()
    command = [
        *(place.python, "-m", "tests.bench.gateway_fastapi"),
        *(place.upstream, str(port), str(place.descriptors)),
    ]
    with _process(command, place.logs / "fastapi.log") as process:
        yield Server(port=port, process=process)


@contextmanager
def envoy(place: Place) -> Iterator[Server]:
    """Runs Envoy with one worker thread."""
    upstream_port = int(place.upstream.rpartition(":")[2])
    descriptors = place.descriptors.read_bytes()
    with run_envoy(descriptors, [SERVICE], upstream_port, {}) as (process, port):
        yield Server(port=port, process=process)


@contextmanager
def gateway(place: Place, workers: int = 1) -> Iterator[Server]:
    """Runs our gateway with its defaults, but for the number of its processes."""
    [port] = ports.free()
    command = [
        *(place.python, "-m", "gateway", "serve", "--access", "open"),
        *("--descriptors", str(place.descriptors), "--upstream", f"*={place.upstream}"),
        *("--listen", ports.address(port), "--workers", str(workers)),
    ]
    log = place.logs / f"gateway-{port}.log"
    with _process(command, log) as process:
        yield Server(port=port, process=process, log=log, workers=workers)


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environ = os.environ | {"SOUK_METRICS_LISTEN": "127.0.0.1:0"}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environ, stdout=output) as process,  # noqa: S603  # our own programs
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_STOP)
            finally:
                process.kill()
