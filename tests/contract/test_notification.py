"""Every RPC of the notification service answers, and every error of its contract is given.

The orders that customers are told of are real ones; dead letters come from events that the order
service would never publish.
"""

import json

import pytest
import redis

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.notification.v1 import notification_pb2
from souk.notification.v1 import notification_service_pb2 as pb
from souk.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from souk.order.v1.order_service_pb2 import ReplayEventsRequest
from souk.order.v1.order_service_pb2_grpc import OrderServiceStub
from tests.contract import test_order
from tests.contract.conftest import ChannelAs
from tests.contract.shop import Shop
from tests.contract.tables import (
    Desk,
    Entry,
    check_is_answered,
    check_is_complete,
    check_is_refused,
    eventually,
    first,
)

STREAM = "souk:events:order"
POISON = "this is no event"
POISONS = {
    "nothing": "",
    "no JSON": POISON,
    "no object": "7",
    "nested too deep": "[" * 100_000,
    "a character that PostgreSQL cannot store": "\0",
    "no id": json.dumps({"type": "order.created"}),
    "no payload": json.dumps({"eventId": str(new_id()), "type": "order.created"}),
    "an unknown currency": json.dumps(
        {
            "eventId": str(new_id()),
            "type": "order.created",
            "payload": {
                "@type": "type.googleapis.com/souk.order.v1.OrderCreated",
                "orderId": str(new_id()),
                "userId": str(new_id()),
                "total": {"currencyCode": "XXQ"},
            },
        }
    ),
}


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the notification service."""
    return "notification"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[NotificationServiceStub]:
    """Calls it by its generated stub."""
    return NotificationServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: NotificationServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def buy(desk: Desk) -> None:
    """Have something happen that the customer is told of."""
    test_order.buy(desk.at("order", OrderServiceStub))


def list_notifications(desk: Desk) -> notification_pb2.Notification:
    """Buy something and look until one is told."""
    buy(desk)
    request = pb.ListNotificationsRequest()
    (newest, *_) = eventually(
        lambda: desk.call("ListNotifications", request, test_order.customer(desk)).notifications
    )
    told: notification_pb2.Notification = newest
    return told


def set_preferences(desk: Desk) -> pb.SetPreferencesResponse:
    """Ask to be told by e-mail."""
    preferences = notification_pb2.Preferences(channels=[notification_pb2.CHANNEL_EMAIL])
    response: pb.SetPreferencesResponse = desk.call(
        "SetPreferences", pb.SetPreferencesRequest(preferences=preferences), desk.person()
    )
    return response


def watch(desk: Desk) -> pb.WatchNotificationsResponse:
    """Buy something once the watching has begun, which the headers tell."""
    request = pb.WatchNotificationsRequest()
    stream = desk.call("WatchNotifications", request, test_order.customer(desk))
    stream.initial_metadata()
    buy(desk)
    response: pb.WatchNotificationsResponse = first(stream)
    return response


def dead_letters(desk: Desk) -> list[notification_pb2.DeadLetter]:
    """Look at what could not be handled."""
    response: pb.ListDeadLettersResponse = desk.call(
        "ListDeadLetters", pb.ListDeadLettersRequest(), desk.person(Role.ADMIN)
    )
    return [*response.dead_letters]


def bury(desk: Desk, event: str) -> notification_pb2.DeadLetter:
    """Publish something that can't be handled, and return the dead letter that it becomes."""
    known = {each.dead_letter_id for each in dead_letters(desk)}
    with redis.Redis.from_url(desk.shop.redis_url) as client:
        client.xadd(STREAM, {"event": event})
    (letter,) = eventually(
        lambda: [each for each in dead_letters(desk) if each.dead_letter_id not in known]
    )
    return letter


def damaged(desk: Desk) -> str:
    """Return an event that was damaged on its way; the order service has it whole."""
    buy(desk)
    orders = desk.at("order", OrderServiceStub).as_service("notification", OrderServiceStub)
    event = first(orders.call("ReplayEvents", ReplayEventsRequest())).event
    return json.dumps({"eventId": event.event_id, "payload": {"@type": "type.googleapis.com/no"}})


def redrive(desk: Desk, dead_letter_id: str) -> pb.RedriveDeadLetterResponse:
    """Have a dead letter handled again."""
    request = pb.RedriveDeadLetterRequest(dead_letter_id=dead_letter_id)
    response: pb.RedriveDeadLetterResponse = desk.call(
        "RedriveDeadLetter", request, desk.person(Role.ADMIN)
    )
    return response


ANSWERS: dict[str, Entry] = {
    "ListNotifications": list_notifications,
    "GetPreferences": lambda desk: desk.call(
        "GetPreferences", pb.GetPreferencesRequest(), desk.person()
    ),
    "SetPreferences": set_preferences,
    "WatchNotifications": watch,
    "ListDeadLetters": lambda desk: bury(desk, POISON),
    "RedriveDeadLetter": lambda desk: redrive(desk, bury(desk, damaged(desk)).dead_letter_id),
    "ListAuditEvents": lambda desk: desk.call(
        "ListAuditEvents", pb.ListAuditEventsRequest(), desk.person(Role.ADMIN)
    ),
}

ERRORS: dict[str, Entry] = {
    "DEAD_LETTER_NOT_FOUND": lambda desk: redrive(desk, str(new_id())),
    "REDRIVE_FAILED": lambda desk: redrive(desk, bury(desk, POISON).dead_letter_id),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_rpc_answers(desk: Desk, name: str):
    """The RPC is there and does what it is for."""
    check_is_answered(desk, ANSWERS[name])


@pytest.mark.parametrize("reason", ERRORS)
def test_an_error_is_given_as_the_contract_tells(desk: Desk, process: str, reason: str):
    """The reason comes with its code."""
    check_is_refused(desk, ERRORS[reason], process=process, reason=reason)


@pytest.mark.parametrize("event", POISONS.values(), ids=POISONS)
def test_a_poison_event_is_put_aside(desk: Desk, process: str, event: str):
    """What can't be handled becomes a dead letter, stays one, and the next event is handled."""
    letter = bury(desk, event)

    check_is_refused(
        desk,
        lambda desk: redrive(desk, letter.dead_letter_id),
        process=process,
        reason="REDRIVE_FAILED",
    )
    check_is_answered(desk, watch)


def test_nothing_is_left_out(process: str):
    """Every RPC and every reason of the contract is tested."""
    check_is_complete(process, answers=ANSWERS, errors=ERRORS)
