"""How fast the mesh starts and how much memory it takes: `make bench-start`.

    exec to SERVING and resident memory of each process, one after the other, on quiet stores
    exec of `souk up` to everything ready, on a new data folder and on the same one again

Prints the figures beside the aims; exits with 1 when an aim is missed.
"""

import asyncio
import io
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from services.local import endpoints, ports, program, topology
from services.local.console import Console
from services.local.data_folder import DataFolder
from services.local.program import Program
from services.local.supervisor import Supervisor
from services.local.up import Options, prepare

_ROUNDS = 3
_AIM_SERVING_SECONDS = 0.7
_AIM_RESIDENT_MB = 90
_AIM_ALL_SECONDS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The best time of some rounds, and the memory right after the last."""

    name: str
    seconds: float
    resident_mb: float | None = None

    def __str__(self) -> str:
        memory = f"{self.resident_mb:6.0f} MB" if self.resident_mb else ""
        return f"{self.name:<22}{self.seconds:6.2f} s {memory}"


async def _processes(folder: DataFolder) -> list[Figure]:
    """Measures each process alone: the stores run, the other processes do not."""
    names = list(topology.DEFAULT_PORTS)
    options = Options(
        ports=dict(zip(names, ports.free(len(names)), strict=True)),
        external={},
        log_level="warning",
        durable=True,
        with_demo=False,
    )
    supervisor = Supervisor(Console(io.StringIO()))
    async with supervisor:
        launch = await prepare(folder, options, Console(io.StringIO()), supervisor)
        services = [launch.service(service) for service in topology.SERVICES]
        return [
            await _process(replace(each, log=folder.path / f"{each.name}.log"))
            for each in (*services, launch.sandbox())
        ]


async def _process(each: Program) -> Figure:
    seconds, resident = [], 0.0
    for _ in range(_ROUNDS):
        began = time.monotonic()
        async with program.running(each) as process:
            seconds.append(time.monotonic() - began)
            resident = _resident_mb(process.pid)
    return Figure(name=each.name, seconds=min(seconds), resident_mb=resident)


async def _all(folder: DataFolder, name: str) -> Figure:
    """Measures `souk up` from its exec until other commands can find the mesh."""

    async def check() -> None:
        endpoints.load(folder)

    up = Program(
        name=name,
        argv=(
            *(sys.executable, "-m", "services.local", "up", "--free-ports"),
            *("--data", str(folder.path), "--log-level", "warning"),
        ),
        check=check,
        log=folder.path.parent / "output",
        start_timeout=timedelta(seconds=90),
    )
    began = time.monotonic()
    async with program.running(up):
        return Figure(name=name, seconds=time.monotonic() - began)


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def _missed(figure: Figure, seconds: float) -> list[str]:
    """Returns which of its aims the figure misses."""
    missed = {
        "time": figure.seconds > seconds,
        "memory": (figure.resident_mb or 0) > _AIM_RESIDENT_MB,
    }
    return [aim for aim, is_missed in missed.items() if is_missed]


async def main() -> int:
    """Measures and prints; returns the exit code."""
    with TemporaryDirectory() as root:
        folder = DataFolder(Path(root) / "processes")
        folder.create()
        processes = await _processes(folder)
        folder = DataFolder(Path(root) / "all")
        everything = [
            await _all(folder, "souk up, first run"),
            await _all(folder, "souk up, again"),
        ]
    aimed = [(figure, _AIM_SERVING_SECONDS) for figure in processes]
    aimed += [(figure, _AIM_ALL_SECONDS) for figure in everything]
    for figure, aim in aimed:
        missed = ", ".join(_missed(figure, aim))
        sys.stdout.write(f"{figure}   aim {aim:g} s{f'   MISSED: {missed}' if missed else ''}\n")
    sys.stdout.write(f"aim for memory: {_AIM_RESIDENT_MB} MB a process\n")
    return 1 if any(_missed(*each) for each in aimed) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
