"""The queries of the notification service.

NotificationStore   what users were told
DeliveryStore       what is to be sent now, and what came of it
PreferenceStore     how users want to be told
DeadLetterStore     events that could not be handled
Feed                who waits for notifications, or for something to send
"""

from services.notification.store._dead_letters import DeadLetterStore
from services.notification.store._deliveries import DeliveryStore
from services.notification.store._feed import Feed
from services.notification.store._notifications import NotificationStore
from services.notification.store._preferences import PreferenceStore

__all__ = [
    "DeadLetterStore",
    "DeliveryStore",
    "Feed",
    "NotificationStore",
    "PreferenceStore",
]
