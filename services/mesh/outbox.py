"""Events committed together with the state they tell of, then published.

    state + append ──commit──▶ outbox ──Relay──▶ XADD stream + PUBLISH type, in one MULTI
                                 ▲                  │
                                 └── published_at ◀─┘

The stream delivers; Pub/Sub announces. Delivery is at least once: a relay that dies between the
MULTI and the mark publishes again, with the same `event_id`. The events of one aggregate arrive in
the order of their `sequence`; between aggregates there is no order.

Rows are taken because they are unpublished, never because they come after the last one seen: a
transaction may commit after a later one.
"""

from datetime import timedelta
from uuid import UUID

import asyncpg
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from services.mesh import reaping, traces
from services.mesh.database import Connection
from services.mesh.ids import new_id
from souk.mesh.v1.event_pb2 import Event

CHANNEL = "outbox"
"""The PostgreSQL channel that wakes the relay; send to it (`WakeUps`) after a commit."""

_APPEND = """
    WITH counted AS (
        INSERT INTO outbox_sequences AS s (aggregate_id, last) VALUES ($3, 1)
        ON CONFLICT (aggregate_id) DO UPDATE SET last = s.last + 1
        RETURNING last
    ), appended AS (
        INSERT INTO outbox (event_id, type, aggregate_id, sequence, traceparent, payload)
        SELECT $1, $2, $3, last, $4, $5 FROM counted
        RETURNING sequence
    )
    SELECT sequence FROM appended
"""

_REAP = reaping.oldest("outbox", key="position", time="published_at", until="now() - $1::interval")


async def append(conn: Connection, *, type: str, aggregate_id: UUID, payload: Message) -> UUID:  # noqa: A002 - the envelope's own word
    """Appends an event to the caller's transaction and returns its `event_id`.

    Wake the relay after the commit, or it takes a poll. `type` is also the Pub/Sub channel, like
    "order.created". The sequence is the next of the aggregate; another transaction that appends to
    the same aggregate waits for this one to end.
    """
    event_id = new_id()
    packed = Any()
    packed.Pack(payload, deterministic=True)
    await conn.fetchrow(
        _APPEND,
        event_id,
        type,
        str(aggregate_id),
        traces.current_traceparent(),
        packed.SerializeToString(deterministic=True),
    )
    return event_id


def event_from_row(row: asyncpg.Record) -> Event:
    """Returns the event that a row of the table `outbox` holds."""
    event = Event(
        event_id=str(row["event_id"]),
        type=row["type"],
        aggregate_id=row["aggregate_id"],
        sequence=row["sequence"],
        traceparent=row["traceparent"],
    )
    event.occurred_at.FromDatetime(row["occurred_at"])
    event.payload.ParseFromString(row["payload"])
    return event


async def reap(conn: Connection, *, keep: timedelta) -> int:
    """Deletes events that were published longer than `keep` ago; returns how many.

    No more than `reaping.AT_MOST`: then call it again.
    """
    return len(await conn.fetch(_REAP, keep))
