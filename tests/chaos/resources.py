"""What the processes of a world use: memory, file descriptors, database connections."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """`resident_mb`: memory in MiB; `descriptors`: open files and sockets.

    `connections`: to its database, by what the database says; `in_transaction` are those of them
    that hold a transaction open.
    """

    resident_mb: float
    descriptors: int
    connections: int = 0
    in_transaction: int = 0


async def measure(pids: Mapping[str, int], postgres: str) -> dict[str, Usage]:
    """Returns what each process uses now, by name; `postgres` is the administrator's URL."""
    conn = await asyncpg.connect(postgres)
    try:
        rows = await conn.fetch(
            "SELECT application_name AS name, state FROM pg_stat_activity"
            " WHERE backend_type = 'client backend'"
        )
    finally:
        await conn.close()
    connections = Counter(row["name"] for row in rows)
    busy = Counter(row["name"] for row in rows if "transaction" in (row["state"] or ""))
    return {
        name: Usage(
            resident_mb=_resident_mb(pid),
            descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
            connections=connections[name],
            in_transaction=busy[name],
        )
        for name, pid in pids.items()
    }


def _resident_mb(pid: int) -> float:
    """Reads VmRSS (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
