"""All that a run has left, read once from every store, for the invariants to be checked on.

It knows tables, documents and keys, and nothing of the code that writes them.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from tests.chaos import history
from tests.chaos.history import Attempt
from tests.chaos.resources import Usage
from tests.chaos.sources import Sources

Row = Mapping[str, Any]

STREAM = "souk:events:order"
GROUP = "notification"

_ORDER = {
    "orders": "SELECT *, clock_timestamp() AS now FROM orders",
    "lines": "SELECT * FROM order_lines",
    "steps": "SELECT * FROM order_history ORDER BY order_id, sequence",
    "keys": "SELECT * FROM idempotency_keys",
    "outbox": "SELECT * FROM outbox ORDER BY position",
}
_PAYMENT = {
    "payments": "SELECT * FROM payments",
    "transactions": "SELECT * FROM transactions ORDER BY position",
}
_NOTIFICATION = {
    "notifications": "SELECT * FROM notifications",
    "dead_letters": "SELECT * FROM dead_letters",
    "inbox": "SELECT * FROM inbox",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Rows of tables under the tables' names, documents as they are, and the clients' history.

    `stream`: the events in Redis, each with its `entry_id`. `group`: what XINFO GROUPS says of the
    consumer group. `notes`: of the harness, by kind. `usage`: of the processes, at the end and
    before the first fault.
    """

    orders: Sequence[Row]
    lines: Sequence[Row]
    steps: Sequence[Row]
    keys: Sequence[Row]
    outbox: Sequence[Row]
    payments: Sequence[Row]
    transactions: Sequence[Row]
    notifications: Sequence[Row]
    dead_letters: Sequence[Row]
    inbox: Sequence[Row]
    ledger: Sequence[Row]
    products: Sequence[Row]
    commitments: Sequence[Row]
    database_time_ms: int
    stream: Sequence[Row]
    group: Row
    attempts: Sequence[Attempt]
    notes: Mapping[str, Sequence[Row]]
    baseline: Mapping[str, Usage] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)


async def read(
    sources: Sources,
    told: Path,
    *,
    baseline: Mapping[str, Usage] | None = None,
    usage: Mapping[str, Usage] | None = None,
) -> Books:
    """Reads everything; `told` is the clients' history."""
    tables: dict[str, Any] = {}
    for service, queries in (
        ("order", _ORDER),
        ("payment", _PAYMENT),
        ("notification", _NOTIFICATION),
    ):
        tables |= await _tables(sources.database(service), queries)
    return Books(
        **tables,
        **await _documents(sources),
        **await _events(sources),
        ledger=_ledger(sources.ledger),
        attempts=list(history.read(told)),
        notes={
            kind: history.notes(told, kind)
            for kind in (
                "stocked",
                "last item",
                "stream lost",
                "poison",
                "complaint",
                "plan",
                "sagas ended",
                "outbox drained",
            )
        },
        baseline=baseline or {},
        usage=usage or {},
    )


async def _tables(url: str, queries: Mapping[str, str]) -> dict[str, list[Row]]:
    conn = await asyncpg.connect(url)
    try:
        return {
            name: [dict(row) for row in await conn.fetch(query)] for name, query in queries.items()
        }
    finally:
        await conn.close()


async def _documents(sources: Sources) -> dict[str, Any]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(sources.mongo, timeoutMS=20_000)
    try:
        database = client[sources.mongo_database]
        now = (await client.admin.command("hello"))["localTime"]
        return {
            "products": await database["products"].find().to_list(None),
            "commitments": await database["commitments"].find().to_list(None),
            # The driver gives a time without a zone, which is UTC.
            "database_time_ms": round((now - now.__class__(1970, 1, 1)).total_seconds() * 1000),
        }
    finally:
        client.close()


async def _events(sources: Sources) -> dict[str, Any]:
    async with Redis.from_url(sources.redis) as redis:
        entries: Any = await redis.xrange(STREAM)
        groups = await redis.xinfo_groups(STREAM) if entries else []
    found = [each for each in groups if each["name"] == GROUP.encode()]
    return {"stream": [_entry(*each) for each in entries], "group": found[0] if found else {}}


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Row:
    """Returns the event of an entry; one that can't be read has no `eventId`."""
    try:
        event = json.loads(fields.get(b"event", b""))
    except ValueError:
        event = {}
    return {**event, "entry_id": entry_id.decode()}


def _ledger(path: Path) -> list[Row]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row

        rows = connection.execute("SELECT * FROM operations ORDER BY position")
        return [dict(row) for row in rows]
