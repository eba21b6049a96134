"""The order service's events: delivered by its stream, asked for again when some may be missing.

    stream, consumer group ──▶ confirmed ──▶ inbox + notification in one transaction ──▶ XACK
    ReplayEvents                         ──▶ the same, which knows what it has seen

The stream is believed in nothing but the ids of events: what they say is asked of the order service
(`Orders.confirmed`), so that whoever can write to Redis can tell users nothing.

All events that are kept are asked for before a new consumer group reads its first one: at the very
first start, and when Redis has lost the stream.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from google.protobuf import json_format
from redis.asyncio import Redis

from services.mesh.database import Database
from services.mesh.event_handling import Delivered, EventHandling
from services.mesh.event_stream import Consumer
from services.notification.clients import Orders
from services.notification.domain import TRIES
from services.notification.workflow import Notifier
from souk.mesh.v1.event_pb2 import Event

_STREAM = "souk:events:order"
_GROUP = "notification"
_BATCH = 100
_OF_LATER = "this release does not know the event's payload"


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
            confirm=orders.confirmed,
            on_new_group=self.replay,
            tries=TRIES,
            abandoned=abandoned,
        )

    async def run(self) -> None:
        """Consumes until cancelled, through every outage of Redis and PostgreSQL."""
        await self._consumer.run()

    async def replay(self) -> None:
        """Handles all that the order service has committed and still keeps. Raises RemoteError."""
        batch: list[Event] = []
        async for event in self._orders.events():
            batch.append(event)
            if len(batch) == _BATCH:
                await self._handle(batch)
                batch.clear()
        await self._handle(batch)

    async def ask_for(self, event_ids: Collection[UUID]) -> None:
        """Handles those of up to 100 events that the order service has. Raises RemoteError."""
        await self._handle(list((await self._orders.confirmed(event_ids)).values()))

    async def _handle(self, events: Sequence[Event]) -> None:
        batch = [_delivered(event) for event in events]
        if batch and not await self._handling.handle_together(batch):
            for each in batch:
                await self._handling.handle(each, delivered_before=False)


def _delivered(event: Event) -> Delivered:
    try:
        raw = json_format.MessageToJson(event, indent=None)
    except TypeError:
        # A later release's event, to be redriven by its id when this one is followed by that.
        event.ClearField("payload")
        raw = json_format.MessageToJson(event, indent=None)
        return Delivered(entry_id=event.event_id, raw=raw, fault=_OF_LATER)
    return Delivered(entry_id=event.event_id, raw=raw, event=event)
