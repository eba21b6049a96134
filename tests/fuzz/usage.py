"""What the processes of a mesh use before and after: memory, descriptors, database connections."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from services.local import topology
from tests.chaos import resources
from tests.chaos.resources import Usage
from tests.e2e.conftest import Mesh

# What an allocator keeps of the largest messages, and what caches of tokens and pages fill.
_MEMORY_FACTOR, _MEMORY_SPARE_MB = 1.2, 24
_DESCRIPTORS_SPARE = 8

_MODULES = {
    "gateway": "gateway",
    **{each.name: f"services.{each.name}" for each in topology.SERVICES},
}


async def measure(mesh: Mesh) -> dict[str, Usage]:
    """Return what the gateway and the services use now, by name."""
    pids = dict(_processes(mesh.endpoints.supervisor))
    missing = _MODULES.keys() - pids.keys()
    assert not missing, f"not running: {', '.join(sorted(missing))}"
    return await resources.measure(pids, mesh.endpoints.postgres)


def leaks(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> Iterator[str]:
    """Tell what a process keeps that it did not have before."""
    for name, now in after.items():
        most = before[name].resident_mb * _MEMORY_FACTOR + _MEMORY_SPARE_MB
        if now.resident_mb > most:
            yield f"{name} has {now.resident_mb:.0f} MiB, allowed are {most:.0f}"
        open_before = before[name].descriptors
        if now.descriptors > open_before + _DESCRIPTORS_SPARE:
            yield f"{name} has {now.descriptors} descriptors open, before it were {open_before}"
        if now.in_transaction:
            yield f"{name} has {now.in_transaction} transactions open"


def _processes(supervisor: int) -> Iterator[tuple[str, int]]:
    """Tell the names and process ids of those that the supervisor runs."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            # It has ended meanwhile.
            continue
        if parent == supervisor:
            yield from (
                (name, int(folder.name)) for name, each in _MODULES.items() if each in words
            )
