"""The RPCs of the notification service. Who may call them stands in the contract."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from services.mesh import identity, paging
from services.mesh.audit import AuditLog
from services.mesh.ids import parse_id
from services.notification import convert
from services.notification.store import DeadLetterStore, Feed, NotificationStore, PreferenceStore
from services.notification.workflow import Notifier
from souk.notification.v1 import notification_service_pb2 as pb
from souk.notification.v1 import notification_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["NotificationService"]


class NotificationServicer(notification_service_pb2_grpc.NotificationServiceServicer):
    """Serves `souk.notification.v1.NotificationService`."""

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        notifications: NotificationStore,
        preferences: PreferenceStore,
        dead_letters: DeadLetterStore,
        feed: Feed,
        notifier: Notifier,
    ) -> None:
        self._audit_log = audit_log
        self._notifications = notifications
        self._preferences = preferences
        self._dead_letters = dead_letters
        self._feed = feed
        self._notifier = notifier

    async def ListNotifications(
        self, request: pb.ListNotificationsRequest, context: Any
    ) -> pb.ListNotificationsResponse:
        """Return a page of the caller's notifications."""
        page = paging.read(request, cursor=UUID)
        found = await self._notifications.page(
            _user_id(),
            order_id=parse_id(request.order_id, field="order_id") if request.order_id else None,
            before=page.cursor,
            size=page.limit,
        )
        return pb.ListNotificationsResponse(
            notifications=[convert.notification_to_proto(each) for each in page.kept(found)],
            next_page_token=page.next_token(found, lambda each: each.notification_id),
        )

    async def GetPreferences(
        self, request: pb.GetPreferencesRequest, context: Any
    ) -> pb.GetPreferencesResponse:
        """Return how the caller wants to be told."""
        preferences = await self._preferences.get(_user_id())
        return pb.GetPreferencesResponse(preferences=convert.preferences_to_proto(preferences))

    async def SetPreferences(
        self, request: pb.SetPreferencesRequest, context: Any
    ) -> pb.SetPreferencesResponse:
        """Set how the caller wants to be told."""
        preferences = convert.preferences_from_proto(request.preferences)
        await self._preferences.set(_user_id(), preferences)
        return pb.SetPreferencesResponse(preferences=convert.preferences_to_proto(preferences))

    async def WatchNotifications(
        self, request: pb.WatchNotificationsRequest, context: Any
    ) -> AsyncIterator[pb.WatchNotificationsResponse]:
        """Tell the caller's notifications; the headers are sent when the watching has begun."""
        async with aclosing(await self._feed.begin(_user_id())) as notifications:
            await context.send_initial_metadata(())
            async for each in notifications:
                message = convert.notification_to_proto(each)
                yield pb.WatchNotificationsResponse(notification=message)

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Any
    ) -> pb.ListDeadLettersResponse:
        """Return a page of the events that could not be handled."""
        page = paging.read(request, cursor=UUID)
        found = await self._dead_letters.page(before=page.cursor, size=page.limit)
        return pb.ListDeadLettersResponse(
            dead_letters=[convert.dead_letter_to_proto(each) for each in page.kept(found)],
            next_page_token=page.next_token(found, lambda each: each.dead_letter_id),
        )

    async def RedriveDeadLetter(
        self, request: pb.RedriveDeadLetterRequest, context: Any
    ) -> pb.RedriveDeadLetterResponse:
        """Handle a dead letter again."""
        letter = await self._notifier.redrive(
            parse_id(request.dead_letter_id, field="dead_letter_id")
        )
        return pb.RedriveDeadLetterResponse(dead_letter=convert.dead_letter_to_proto(letter))

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Any
    ) -> pb.ListAuditEventsResponse:
        """Return a page of the audit log."""
        return await self._audit_log.page(request, pb.ListAuditEventsResponse)


def _user_id() -> UUID:
    return parse_id(identity.caller().subject or "", field="sub")
