"""Events that fail, get lost or are left behind."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as PackedAny
from google.type.money_pb2 import Money
from prometheus_client import REGISTRY

from services.mesh import inbox
from services.mesh.ids import new_id
from services.notification.domain import DeadLetterNotFound, RedriveFailed
from services.notification.store import (
    DeadLetterStore,
    DeliveryStore,
    NotificationStore,
    PreferenceStore,
)
from services.notification.workflow import Notifier
from souk.mesh.v1.event_pb2 import Event
from souk.notification.v1 import notification_pb2
from souk.notification.v1 import notification_service_pb2 as pb
from souk.order.v1.order_events_pb2 import OrderShipped

from .conftest import STREAM, Shop

_UNKNOWN = PackedAny(type_url="type.googleapis.com/souk.order.v1.OrderTeleported")

EURO = Money(currency_code="EUR", units=1)

_REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON notifications EXECUTE FUNCTION refuse();
"""


async def one_dead_letter_told() -> bool:
    """Tells whether the metrics say that there is one dead letter."""
    return REGISTRY.get_sample_value("souk_dead_letters") == 1


async def confirm_nothing(_: Collection[UUID]) -> dict[UUID, Event]:
    """Answers as the order service does that has none of the events."""
    return {}


async def redrive(shop: Shop, letter: notification_pb2.DeadLetter) -> notification_pb2.DeadLetter:
    """Handles a dead letter again."""
    request = pb.RedriveDeadLetterRequest(dead_letter_id=letter.dead_letter_id)
    return (await shop.service.RedriveDeadLetter(request, None)).dead_letter


@asynccontextmanager
async def refusing(shop: Shop) -> AsyncIterator[None]:
    """Has the database refuse notifications for the length of the block."""
    async with shop.db.connection() as conn:
        await conn.execute(_REFUSE)
    yield
    async with shop.db.connection() as conn:
        await conn.execute("DROP TRIGGER refuse ON notifications; DROP FUNCTION refuse")


async def test_an_event_that_fails_becomes_a_dead_letter_and_can_be_redriven(shop: Shop):
    """After five tries it is put aside, the next one comes through, and it is not lost."""
    user = await shop.user()
    async with refusing(shop), shop.working(), shop.publishing():
        order = await shop.placed(user)
        (letter,) = await shop.eventually(shop.dead_letters)
        assert (letter.type, letter.attempt_count) == ("order.created", 5)
        assert "refused" in letter.error
        with pytest.raises(RedriveFailed):
            await redrive(shop, letter)
    (failed,) = await shop.dead_letters()
    assert (failed.attempt_count, failed.HasField("redrive_time")) == (6, False)

    redriven = await redrive(shop, letter)

    assert redriven.HasField("redrive_time")
    assert await redrive(shop, letter) == redriven
    (told,) = await shop.listed(user)
    assert told.order_id == order


async def test_poison_does_not_stop_what_comes_after(shop: Shop):
    """What cannot be read, and what breaks its promise, become dead letters."""
    user = await shop.user()
    for raw in ("no JSON", "\0", b"\xff"):
        await shop.redis.xadd(STREAM, {"event": raw})
    async with shop.working(), shop.publishing():
        await shop.happened("order.created", new_id(), OrderShipped())
        await shop.placed(user)
        await shop.told(user, ["order.created"])

        async def all_four() -> list[notification_pb2.DeadLetter]:
            found = await shop.dead_letters()
            return found if len(found) == 4 else []

        letters = await shop.eventually(all_four)
    assert sorted((each.type, bool(each.event_id)) for each in letters) == [
        ("", False),
        ("", False),
        ("", False),
        ("order.created", True),
    ]
    for letter in letters:
        with pytest.raises(RedriveFailed):
            await redrive(shop, letter)


async def test_an_unknown_dead_letter_is_not_found(shop: Shop):
    """The error says so."""
    letter = notification_pb2.DeadLetter(dead_letter_id=str(new_id()))

    with pytest.raises(DeadLetterNotFound):
        await redrive(shop, letter)


async def test_dead_letters_are_listed_page_by_page(shop: Shop):
    """The newest first."""
    for number in range(3):
        await shop.redis.xadd(STREAM, {"event": f"nonsense {number}"})

    async def all_three() -> bool:
        return len(await shop.dead_letters()) == 3

    async with shop.working():
        await shop.eventually(all_three)
    first = await shop.service.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2), None)
    second = await shop.service.ListDeadLetters(
        pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token), None
    )

    assert [*first.dead_letters, *second.dead_letters] == await shop.dead_letters()


async def test_what_was_handled_and_not_acknowledged_is_told_once(shop: Shop):
    """A consumer that died after its commit leaves its entry to another, who knows it."""
    user = await shop.user()
    async with shop.publishing():
        await shop.placed(user)
    await shop.redis.xgroup_create(STREAM, "notification", id="0")
    answer: Any = await shop.redis.xreadgroup("notification", "dead", {STREAM: ">"})
    ((_, ((_, fields),)),) = answer
    event = json_format.Parse(fields[b"event"], Event())
    notifications = NotificationStore(shop.db)
    notifier = Notifier(
        db=shop.db,
        notifications=notifications,
        preferences=PreferenceStore(shop.db),
        dead_letters=DeadLetterStore(shop.db),
        confirm=confirm_nothing,
    )
    async with shop.db.transaction() as conn:
        await inbox.record(conn, UUID(event.event_id))
        await notifier.notify(conn, event)

    async def acknowledged() -> bool:
        pending: Any = await shop.redis.xpending(STREAM, "notification")
        return bool(pending["pending"] == 0)

    async with shop.working():
        await shop.eventually(acknowledged)
        await shop.told(user, ["order.created"])


async def test_redis_that_lost_everything_is_healed_by_replay(shop: Shop):
    """What was in the stream and never read is told, before and while the service runs."""
    user = await shop.user()
    async with shop.publishing():
        order = await shop.placed(user)
    await shop.redis.flushdb()

    async with shop.working():
        await shop.told(user, ["order.created"])
        async with shop.publishing():
            await shop.confirmed(user, order)
        await shop.redis.flushdb()
        await shop.told(user, ["order.confirmed", "order.created"])
        await shop.redis.flushdb()
        async with shop.publishing():
            other = await shop.placed(user)
        await shop.told(user, ["order.created", "order.confirmed", "order.created"])

    assert [each.order_id for each in await shop.listed(user)] == [other, order, order]


async def test_a_replayed_event_of_a_later_release_is_a_dead_letter(shop: Shop):
    """What this release does not know keeps nothing else from being told, and can be redriven."""
    user = await shop.user()
    order = await shop.placed(user)
    async with shop.orders.connection() as conn:
        (event,) = await conn.fetch("SELECT payload, event_id FROM outbox")
        await conn.execute("UPDATE outbox SET payload = $1", _UNKNOWN.SerializeToString())
    await shop.confirmed(user, order)

    async with shop.working():
        await shop.told(user, ["order.confirmed"])
        (letter,) = await shop.dead_letters()
        async with shop.orders.connection() as conn:
            known_again = "UPDATE outbox SET payload = $1 WHERE event_id = $2"
            await conn.execute(known_again, *event)
        assert (await redrive(shop, letter)).HasField("redrive_time")
        await shop.told(user, ["order.created", "order.confirmed"])


async def test_what_was_announced_and_not_delivered_is_asked_for(shop: Shop):
    """The stream has lost an entry, its announcement was heard."""
    user = await shop.user()
    async with shop.working(), shop.publishing():
        order = await shop.placed(user)
        await shop.told(user, ["order.created"])

    async def listened_to() -> bool:
        return await shop.redis.pubsub_numpat() > 0

    payload = OrderShipped(order_id=order, user_id=user)
    payload.total.currency_code = "EUR"
    await shop.happened("order.shipped", UUID(order), payload)
    async with shop.orders.transaction() as conn:
        (lost,) = await conn.fetch(
            "UPDATE outbox SET published_at = now() WHERE published_at IS NULL"
            " RETURNING event_id, occurred_at"
        )
    announced = Event(event_id=str(lost["event_id"]), type="order.shipped")
    announced.occurred_at.FromDatetime(lost["occurred_at"])
    async with shop.working():
        await shop.eventually(listened_to)
        await shop.redis.publish("order.shipped", json_format.MessageToJson(announced))
        await shop.told(user, ["order.shipped", "order.created"])


async def test_what_the_order_service_never_said_is_told_to_nobody(shop: Shop):
    """A forged entry is a dead letter that can't be redriven; what is genuine comes through."""
    user = await shop.user()
    forged = Event(event_id=str(new_id()), type="order.shipped")
    forged.payload.Pack(OrderShipped(order_id=str(new_id()), user_id=user, total=EURO))
    raw = json_format.MessageToJson(forged)
    async with shop.working():
        await shop.redis.publish("order.shipped", raw)
        await shop.redis.xadd(STREAM, {"event": raw})
        (letter,) = await shop.eventually(shop.dead_letters)
        async with shop.publishing():
            await shop.placed(user)
        await shop.told(user, ["order.created"])
    assert letter.error == "the publisher has no such event"
    async with shop.working():
        await shop.eventually(one_dead_letter_told)
    with pytest.raises(RedriveFailed):
        await redrive(shop, letter)
    assert [each.type for each in await shop.listed(user)] == ["order.created"]


async def test_a_genuine_id_does_not_vouch_for_what_is_said(shop: Shop):
    """An entry with the id of an event and another content tells what the order service says."""
    user, victim = await shop.user(), await shop.user()
    order = await shop.placed(user)
    async with shop.orders.connection() as conn:
        event_id = await conn.fetchval("SELECT event_id FROM outbox WHERE aggregate_id = $1", order)
    forged = Event(event_id=str(event_id), type="order.shipped")
    forged.payload.Pack(OrderShipped(order_id=order, user_id=victim, total=EURO))
    await shop.redis.xadd(STREAM, {"event": json_format.MessageToJson(forged)})
    await shop.redis.xgroup_create(STREAM, "notification", id="0")
    async with shop.working():
        await shop.told(user, ["order.created"])
    assert await shop.listed(victim) == []


async def test_a_sender_that_dies_uses_up_a_try(shop: Shop):
    """Claimed five times and never answered for, a delivery is given up."""
    user = await shop.user()
    deliveries = DeliveryStore(shop.db, lease=timedelta(0), retry=timedelta(0))
    notifier = Notifier(
        db=shop.db,
        notifications=NotificationStore(shop.db),
        preferences=PreferenceStore(shop.db),
        dead_letters=DeadLetterStore(shop.db),
        confirm=confirm_nothing,
    )
    event = Event(event_id=str(new_id()), type="order.shipped")
    payload = OrderShipped(order_id=str(new_id()), user_id=user)
    payload.total.currency_code = "EUR"
    event.payload.Pack(payload)
    async with shop.db.transaction() as conn:
        await notifier.notify(conn, event)

    attempts = [each.attempt for _ in range(7) for each in await deliveries.claim_due(10)]

    assert attempts == [1, 2, 3, 4, 5]
    (told,) = await shop.listed(user)
    assert told.deliveries[0].state == notification_pb2.DELIVERY_STATE_FAILED
