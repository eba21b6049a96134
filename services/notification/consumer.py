"""The order service's events: delivered by its stream, asked for again when some may be missing.

    stream, consumer group ──▶ inbox + notification in one transaction ──▶ acknowledged
    ReplayEvents           ──▶ the same, which knows what it has seen

All events that are kept are asked for before a new consumer group reads its first one: at the very
first start, and when Redis has lost the stream.
"""

from datetime import datetime, timedelta

from google.protobuf import json_format
from redis.asyncio import Redis

from services.mesh.database import Database
from services.mesh.event_handling import EventHandling
from services.mesh.event_stream import Consumer
from services.notification.clients import Orders
from services.notification.domain import TRIES
from services.notification.workflow import Notifier

_STREAM = "souk:events:order"
_GROUP = "notification"


class OrderEvents:
    """Handles each event of the order service once.

    `name` and `abandoned` are the consumer's, see `services.mesh.event_stream`.
    """

    def __init__(
        self,
        db: Database,
        redis: Redis,
        *,
        notifier: Notifier,
        orders: Orders,
        name: str,
        abandoned: timedelta,
    ) -> None:
        self._orders = orders
        self._handling = EventHandling(
            db, stream=_STREAM, handler=notifier.notify, dead_letter=notifier.bury, limit=TRIES
        )
        self._consumer = Consumer(
            db,
            redis,
            stream=_STREAM,
            group=_GROUP,
            name=name,
            handler=notifier.notify,
            dead_letter=notifier.bury,
            on_new_group=self.replay,
            tries=TRIES,
            abandoned=abandoned,
        )

    async def run(self) -> None:
        """Consumes until cancelled, through every outage of Redis and PostgreSQL."""
        await self._consumer.run()

    async def replay(self, *, since: datetime | None = None) -> None:
        """Handles what the order service has published from `since` on, or ever.

        Raises RemoteError.
        """
        async for event in self._orders.events(since=since):
            raw = json_format.MessageToJson(event, indent=None)
            await self._handling.handle(event.event_id, raw, delivered_before=False)
