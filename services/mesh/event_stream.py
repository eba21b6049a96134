"""Events from another service's stream, handled once each.

    XREADGROUP ──▶ one transaction: inbox + handler's effect ──commit──▶ XACK
                     │ failed five times
                     └──▶ dead letter, in a transaction with the inbox ──▶ XACK

The inbox records the `event_id` in the transaction of the effect, so an event that is delivered
again has no second effect. What an event means is the handler's; how it is delivered is here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from services.mesh.database import Connection, Database
from souk.mesh.v1.event_pb2 import Event

Handler = Callable[[Connection, Event], Awaitable[None]]
"""Handles an event on the connection of the transaction that also records it as handled.

Nothing but the database is touched here; what must be sent elsewhere is written down and sent by a
worker. Any exception rolls back and counts as a failed try, except Unavailable.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An entry that could not be handled.

    `event` is None, and `event_id` empty, when the entry could not even be read; `raw` is its JSON.
    """

    entry_id: str
    event_id: str
    event: Event | None
    raw: str
    error: str
    tries: int


DeadLetterHandler = Callable[[Connection, DeadLetter], Awaitable[None]]
"""Stores a dead letter on the connection of the transaction that records its event as handled."""


class Consumer:
    """One member of a consumer group on a stream.

    `stream` is like "souk:events:order"; `group` is the service that consumes; `name` tells this
    process from the group's others. `on_new_group` runs after the group had to be made: at the first
    start, or because Redis lost it, so that the publisher can be asked to publish again.
    """

    def __init__(
        self,
        db: Database,
        redis: Redis,
        *,
        stream: str,
        group: str,
        name: str,
        handler: Handler,
        dead_letter: DeadLetterHandler,
        on_new_group: Callable[[], Awaitable[None]] | None = None,
        tries: int = 5,
        claim_idle: timedelta = timedelta(seconds=60),
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Consumes until cancelled, through every outage of Redis and PostgreSQL."""
        raise NotImplementedError
