"""Between the contract and the domain."""

from services.notification.domain import Channel, DeadLetter, Delivery, Notification, Preferences
from souk.notification.v1 import notification_pb2 as pb


def notification_to_proto(notification: Notification) -> pb.Notification:
    """Returns the message that tells of `notification`."""
    draft = notification.draft
    message = pb.Notification(
        notification_id=str(notification.notification_id),
        user_id=str(draft.user_id),
        order_id=str(draft.order_id),
        type=draft.type,
        title=draft.title,
        body=draft.body,
        deliveries=[delivery_to_proto(each) for each in notification.deliveries],
    )
    message.create_time.FromDatetime(notification.create_time)
    return message


def delivery_to_proto(delivery: Delivery) -> pb.Delivery:
    """Returns the message that tells of `delivery`."""
    message = pb.Delivery(
        channel=channel_to_proto(delivery.channel),
        state=pb.DeliveryState.Value(f"DELIVERY_STATE_{delivery.state}"),
        attempt_count=delivery.attempt_count,
    )
    message.update_time.FromDatetime(delivery.update_time)
    return message


def channel_to_proto(channel: Channel) -> pb.Channel.ValueType:
    """Returns the contract's name of a channel."""
    return pb.Channel.Value(f"CHANNEL_{channel}")


def preferences_to_proto(preferences: Preferences) -> pb.Preferences:
    """Returns the message that tells of `preferences`."""
    return pb.Preferences(
        channels=[channel_to_proto(each) for each in preferences.channels],
        phone_number=preferences.phone_number,
    )


def preferences_from_proto(message: pb.Preferences) -> Preferences:
    """Returns the preferences that a request asks for."""
    return Preferences(
        channels=tuple(
            Channel(pb.Channel.Name(each).removeprefix("CHANNEL_")) for each in message.channels
        ),
        phone_number=message.phone_number,
    )


def dead_letter_to_proto(letter: DeadLetter) -> pb.DeadLetter:
    """Returns the message that tells of `letter`."""
    message = pb.DeadLetter(
        dead_letter_id=str(letter.dead_letter_id),
        event_id="" if letter.event_id is None else str(letter.event_id),
        type=letter.type,
        error=letter.error,
        attempt_count=letter.attempt_count,
    )
    message.create_time.FromDatetime(letter.create_time)
    if letter.redrive_time is not None:
        message.redrive_time.FromDatetime(letter.redrive_time)
    return message
