"""From an event to what reaches the user."""

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest

from services.mesh.ids import new_id
from souk.notification.v1 import notification_pb2
from souk.notification.v1 import notification_service_pb2 as pb
from tests.cancellation import end

from .conftest import SMS_KEY, STREAM, Shop

SENT = notification_pb2.DELIVERY_STATE_SENT
FAILED = notification_pb2.DELIVERY_STATE_FAILED


def deliveries(notification: notification_pb2.Notification) -> list[tuple[int, int, int]]:
    """Returns channel, state and attempts of each delivery."""
    return [(each.channel, each.state, each.attempt_count) for each in notification.deliveries]


async def test_an_event_becomes_a_notification(shop: Shop):
    """The user is told what happened to the order, on the console unless they want otherwise."""
    user = await shop.user()
    async with shop.working(), shop.publishing():
        order = await shop.placed(user)
        (told,) = await shop.told(user, ["order.created"])

    assert (told.user_id, told.order_id) == (user, order)
    assert told.title == f"We have your order {UUID(order).hex[-8:].upper()}"
    assert "2 pieces for 20.00 EUR" in told.body
    assert deliveries(told) == [(notification_pb2.CHANNEL_CONSOLE, SENT, 1)]


async def test_an_event_is_told_once_however_often_it_comes(shop: Shop):
    """Twice more in the stream, and once more by replay, change nothing."""
    user = await shop.user()
    async with shop.publishing():
        order = await shop.placed(user)
    answer: Any = await shop.redis.xrange(STREAM)
    ((_, entry),) = answer
    for _ in range(2):
        await shop.redis.xadd(STREAM, entry)

    async with shop.working(), shop.publishing():
        await shop.confirmed(user, order)
        await shop.told(user, ["order.confirmed", "order.created"])


async def test_mail_and_text_message_reach_the_user(shop: Shop):
    """The mail goes to the account's address, the text to the number of the preferences."""
    user = await shop.user(channels=["EMAIL", "SMS"], phone_number="+491701234567")
    async with shop.working(), shop.publishing():
        await shop.placed(user)
        (told,) = await shop.told(user, ["order.created"])

    assert {state for _, state, _ in deliveries(told)} == {SENT}
    (mail,) = shop.outside.mails
    assert mail["To"] == f"{user}@example.com"
    assert mail["Subject"] == told.title
    assert mail["Message-ID"] == f"<{told.notification_id}@souk.local>"
    assert mail.get_content().strip() == told.body
    ((headers, body),) = shop.outside.texts
    assert headers["Idempotency-Key"] == told.notification_id
    assert headers["Authorization"] == f"Bearer {SMS_KEY}"
    assert body == {"to": "+491701234567", "text": f"{told.title}. {told.body}"}


@pytest.mark.parametrize(
    ("answers", "state", "attempts"), [([500, 503], SENT, 3), ([500] * 9, FAILED, 5)]
)
async def test_sending_is_tried_five_times(
    shop: Shop, answers: list[int], state: int, attempts: int
):
    """It succeeds when the channel comes back, and is given up when it does not."""
    shop.outside.sms_answers = answers
    user = await shop.user(channels=["SMS"], phone_number="+491701234567")
    async with shop.working(), shop.publishing():
        await shop.placed(user)
        (told,) = await shop.told(user, ["order.created"])

    assert deliveries(told) == [(notification_pb2.CHANNEL_SMS, state, attempts)]
    assert len(shop.outside.texts) == attempts


async def test_a_user_without_an_account_is_not_mailed(shop: Shop):
    """The notification is listed all the same."""
    user = str(new_id())
    with shop.signed_in(user):
        await shop.set_preferences(["EMAIL"])
    async with shop.working(), shop.publishing():
        await shop.placed(user)
        (told,) = await shop.told(user, ["order.created"])

    assert deliveries(told) == [(notification_pb2.CHANNEL_EMAIL, FAILED, 5)]
    assert shop.outside.mails == []


async def test_preferences_are_kept(shop: Shop):
    """By default it is the console; no channel means that notifications are only listed."""
    user = await shop.user()
    with shop.signed_in(user):
        before = await shop.service.GetPreferences(pb.GetPreferencesRequest(), None)
        await shop.set_preferences([], "+491701234567")
        after = await shop.service.GetPreferences(pb.GetPreferencesRequest(), None)
    async with shop.working(), shop.publishing():
        await shop.placed(user)
        (told,) = await shop.told(user, ["order.created"])

    assert list(before.preferences.channels) == [notification_pb2.CHANNEL_CONSOLE]
    assert list(after.preferences.channels) == []
    assert after.preferences.phone_number == "+491701234567"
    assert deliveries(told) == []


async def test_notifications_are_listed_page_by_page(shop: Shop):
    """The newest first, the caller's own only, and about one order if asked for."""
    user, other = await shop.user(), await shop.user()
    async with shop.working(), shop.publishing():
        orders = [await shop.placed(user) for _ in range(3)]
        await shop.placed(other)
        await shop.told(other, ["order.created"])
        found = await shop.told(user, ["order.created"] * 3)

    with shop.signed_in(user):
        first = await shop.service.ListNotifications(pb.ListNotificationsRequest(page_size=2), None)
        second = await shop.service.ListNotifications(
            pb.ListNotificationsRequest(page_size=2, page_token=first.next_page_token), None
        )
    assert [*first.notifications, *second.notifications] == found
    assert second.next_page_token == ""
    (only,) = await shop.listed(user, order_id=orders[1])
    assert only.order_id == orders[1]
    assert await shop.listed(other, order_id=orders[1]) == []


class Watching:
    """The context of a call whose headers tell that it has begun."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def send_initial_metadata(self, _: Any) -> None:
        """Notes that the headers were sent."""
        self.begun.set()


async def test_a_watcher_is_told_of_what_is_new(shop: Shop):
    """Not of what was there, not of others', and also after the database hung up."""
    user, other = await shop.user(), await shop.user()
    watching = Watching()

    told: asyncio.Queue[str] = asyncio.Queue()

    async def watch() -> None:
        stream = shop.service.WatchNotifications(pb.WatchNotificationsRequest(), watching)
        async with aclosing(stream) as responses:  # type: ignore[type-var]  # a generator
            async for response in responses:
                told.put_nowait(response.notification.order_id)

    async with shop.working(), shop.publishing():
        await shop.placed(user)
        await shop.told(user, ["order.created"])
        with shop.signed_in(user):
            watcher = asyncio.ensure_future(watch())
        await asyncio.wait_for(watching.begun.wait(), 60)
        await shop.placed(other)
        one = await shop.placed(user)
        # Well before the next poll.
        assert await asyncio.wait_for(told.get(), 8) == one
        async with shop.db.connection() as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        two = await shop.placed(user)
        assert await asyncio.wait_for(told.get(), 8) == two
        await end([watcher])
    assert told.empty()
