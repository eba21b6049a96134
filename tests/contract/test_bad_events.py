"""Forged Pub/Sub messages and entries of the stream change nothing that the order service lacks.

Each row of `bad_input.events` is published on the channels and written to the stream; then an order
is placed, whose notification comes after all of them.
"""

import json
from typing import Any

import pytest
import redis

from services.mesh.ids import new_id
from souk.notification.v1 import notification_service_pb2 as notifications
from souk.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from tests.contract import scene as scenes
from tests.contract.bad_input.events import EVENTS
from tests.contract.conftest import ChannelAs
from tests.contract.scene import Scene
from tests.contract.shop import Shop
from tests.contract.tables import Desk, eventually

STREAM = "souk:events:order"
_TIMES_TOLD = 2
CHANNELS = ("order.created", "order.confirmed", "order.shipped", "order.cancelled")


@pytest.fixture(scope="module")
def process() -> str:
    """Tests what the notification service makes of events."""
    return "notification"


@pytest.fixture(scope="module")
def desk(shop: Shop, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=None, channel_as=channel_as)


@pytest.fixture(scope="module")
def scene(desk: Desk) -> Scene:
    """Sets the scene."""
    return scenes.begin(desk)


def told(desk: Desk, scene: Scene) -> dict[str, list[str]]:
    """Tell what kinds of news the customer has been told of each order."""
    request = notifications.ListNotificationsRequest(page_size=100)
    service = desk.at("notification", NotificationServiceStub)
    found: dict[str, list[str]] = {}
    for each in service.call("ListNotifications", request, scene.owner).notifications:
        found.setdefault(each.order_id, []).append(each.type)
    return {order_id: sorted(types) for order_id, types in found.items()}


def real_event(client: Any, order_id: str) -> str:
    """Return the first event of an order, as it stands in the stream."""
    for _, fields in client.xrange(STREAM):
        text: str = fields.get(b"event", b"").decode(errors="replace")
        if order_id in text and json.loads(text)["aggregateId"] == order_id:
            return text
    raise AssertionError("the order has no event in the stream")


def test_forged_events_change_nothing(shop: Shop, desk: Desk, scene: Scene):
    """Nobody is told of what did not happen, and what does happen is told of after it."""
    order_id = scene.order.order_id
    # Of an order that is confirmed, a customer hears twice: that it was made, and that it is paid.
    eventually(lambda: len(told(desk, scene).get(order_id, [])) == _TIMES_TOLD)
    before, heard = scene.look(), told(desk, scene)[order_id]
    with redis.Redis.from_url(shop.redis_url) as client:
        real = real_event(client, order_id)
        for row in EVENTS.values():
            forged = real if row == "REAL" else row
            ids = {"ORDER": order_id, "USER": scene.user_id, "NEW": str(new_id())}
            for name, value in ids.items():
                forged = forged.replace(name, value)
            for channel in CHANNELS:
                client.publish(channel, forged)
            client.xadd(STREAM, {"event": forged})
        client.xadd(STREAM, {"something": "else"})

    assert before == scene.look()
    # Events are handled in the order of the stream: once this one is, the forged ones were.
    another = scene.buy(scene.product, by=scene.owner).order.order_id
    eventually(lambda: len(told(desk, scene).get(another, [])) == _TIMES_TOLD)
    assert {order_id: heard, another: heard} == told(desk, scene)
