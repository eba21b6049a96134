"""Which events a service has handled, so that one delivered twice has one effect."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from services.mesh import reaping
from services.mesh.database import Connection

RETENTION = timedelta(days=60)
"""Longer than the outbox keeps events, so that a replay never brings back a forgotten one."""

_RECORD = "INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true"

_RECORD_ALL = """
    INSERT INTO inbox (event_id) SELECT unnest($1::uuid[])
    ON CONFLICT DO NOTHING
    RETURNING event_id
"""

_HANDLED = "SELECT event_id FROM inbox WHERE event_id = ANY($1)"

_COUNT_TRY = """
    INSERT INTO inbox_tries AS t (event_id, tries) VALUES ($1, 2)
    ON CONFLICT (event_id) DO UPDATE SET tries = t.tries + 1
    RETURNING tries
"""

_FORGET_TRIES = "DELETE FROM inbox_tries WHERE event_id = $1"

_REAP = reaping.oldest("inbox", key="event_id", time="handled_at", until="now() - $1::interval")


async def record(conn: Connection, event_id: UUID) -> bool:
    """Records the event as handled, in the transaction of its effect; False if it was already.

    Another transaction that is handling it is waited for, up to the lock timeout (Aborted).
    """
    return await conn.fetchval(_RECORD, event_id) is not None


async def record_all(conn: Connection, event_ids: Collection[UUID]) -> set[UUID]:
    """Records events as handled, as `record` does; returns those that were not yet."""
    # In one order, so that two that record the same ones wait for each other and never deadlock.
    recorded = await conn.fetch(_RECORD_ALL, sorted(event_ids))
    return {row["event_id"] for row in recorded}


async def unhandled(conn: Connection, event_ids: Collection[UUID]) -> set[UUID]:
    """Returns those of `event_ids` that are not recorded."""
    handled = await conn.fetch(_HANDLED, list(event_ids))
    return set(event_ids) - {row["event_id"] for row in handled}


async def count_try(conn: Connection, event_id: UUID) -> int:
    """Counts a try that is not the first and returns its number, from 2."""
    return int(await conn.fetchval(_COUNT_TRY, event_id))


async def forget_tries(conn: Connection, event_id: UUID) -> None:
    """Ends the counting for an event that needs no further try."""
    await conn.execute(_FORGET_TRIES, event_id)


async def reap(conn: Connection) -> int:
    """Forgets events that were handled longer ago than the retention; returns how many.

    No more than `reaping.AT_MOST`: then call it again.
    """
    return len(await conn.fetch(_REAP, RETENTION))
