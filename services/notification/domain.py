"""Notifications, how they are sent, and what can be wrong with calls about them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.mesh.errors import FailedPrecondition, NotFound

TRIES = 5
"""How often an event is handled or a notification sent before it is given up."""


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""

    reason = "DEAD_LETTER_NOT_FOUND"


class RedriveFailed(FailedPrecondition):
    """The event cannot be handled still."""

    reason = "REDRIVE_FAILED"


class Channel(StrEnum):
    """A way to reach a user."""

    CONSOLE = "CONSOLE"
    EMAIL = "EMAIL"
    SMS = "SMS"


class DeliveryState(StrEnum):
    """What came of sending."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a user is to be told about an order; `type` names the event that is the cause."""

    user_id: UUID
    order_id: UUID
    type: str
    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a notification was sent on one channel."""

    channel: Channel
    state: DeliveryState
    attempt_count: int
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a user was told. `draft` is what it says."""

    notification_id: UUID
    draft: Draft
    deliveries: tuple[Delivery, ...]
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """How a user wants to be told; `phone_number` (E.164) is empty if none is known."""

    channels: tuple[Channel, ...] = (Channel.CONSOLE,)
    phone_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A delivery that is to be made now. `attempt` counts from 1."""

    notification_id: UUID
    draft: Draft
    channel: Channel
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that could not be handled.

    `raw` is what was delivered. `event_id` is None and `type` empty if it could not be read.
    `redrive_time` says when it was handled after all.
    """

    dead_letter_id: UUID
    event_id: UUID | None
    type: str
    raw: str
    error: str
    attempt_count: int
    create_time: datetime
    redrive_time: datetime | None
