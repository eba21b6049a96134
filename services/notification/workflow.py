"""From an event to a notification, and from a dead letter back to an event."""

from uuid import UUID

from google.protobuf import json_format

from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError
from services.mesh.event_handling import DeadLetter as UnhandledEntry
from services.notification import templates
from services.notification.domain import DeadLetter, RedriveFailed
from services.notification.store import DeadLetterStore, NotificationStore, PreferenceStore
from souk.mesh.v1.event_pb2 import Event


class Notifier:
    """Writes down what users are to be told; the worker sends it."""

    def __init__(
        self,
        *,
        db: Database,
        notifications: NotificationStore,
        preferences: PreferenceStore,
        dead_letters: DeadLetterStore,
    ) -> None:
        self._db = db
        self._notifications = notifications
        self._preferences = preferences
        self._dead_letters = dead_letters

    async def notify(self, conn: Connection, event: Event) -> None:
        """Writes the notification of an event, if it is one to tell of. Raises EventMalformed."""
        draft = templates.draft(event)
        if draft is None:
            return
        preferences = await self._preferences.read(conn, draft.user_id)
        event_id = UUID(event.event_id)
        await self._notifications.add(conn, event_id, draft, preferences.channels)

    async def bury(self, conn: Connection, entry: UnhandledEntry) -> None:
        """Writes an event down that could not be handled."""
        await self._dead_letters.add(
            conn,
            event_id=UUID(entry.event.event_id) if entry.event else None,
            type=entry.event.type if entry.event else "",
            raw=entry.raw,
            error=entry.error,
            attempt_count=entry.tries,
        )

    async def redrive(self, dead_letter_id: UUID) -> DeadLetter:
        """Handles a dead letter again, unless that was done before, and returns it.

        Raises DeadLetterNotFound, and RedriveFailed if it still cannot be handled.
        """
        try:
            async with self._db.transaction() as conn:
                letter = await self._dead_letters.lock(conn, dead_letter_id)
                if letter.redrive_time is not None:
                    return letter
                event = json_format.Parse(letter.raw, Event(), ignore_unknown_fields=True)
                await self.notify(conn, event)
                return await self._dead_letters.redriven(conn, dead_letter_id)
        except DomainError:
            raise
        except Exception as error:  # whatever keeps it from being handled is the answer
            await self._dead_letters.failed(dead_letter_id, f"{type(error).__name__}: {error}")
            raise RedriveFailed("the event still cannot be handled") from error
