"""From an event to a notification, and from a dead letter back to an event."""

import json
from uuid import UUID

from services.mesh import audit
from services.mesh.audit import AuditLog
from services.mesh.database import Connection, Database
from services.mesh.errors import DomainError, RemoteError, Unavailable
from services.mesh.event_entries import Confirm
from services.mesh.event_handling import DeadLetter as UnhandledEntry
from services.notification import templates
from services.notification.domain import DeadLetter, RedriveFailed
from services.notification.store import DeadLetterStore, NotificationStore, PreferenceStore
from souk.mesh.v1.event_pb2 import Event


class Notifier:
    """Writes down what users are to be told; the worker sends it.

    `confirm` asks the order service for events, since a dead letter may hold what it never said.
    """

    def __init__(
        self,
        *,
        db: Database,
        notifications: NotificationStore,
        preferences: PreferenceStore,
        dead_letters: DeadLetterStore,
        confirm: Confirm,
    ) -> None:
        self._audit_log = AuditLog(db)
        self._db = db
        self._notifications = notifications
        self._preferences = preferences
        self._dead_letters = dead_letters
        self._confirm = confirm

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

        Raises DeadLetterNotFound, RedriveFailed if it still cannot be handled, and Unavailable if
        the order service can't be asked.
        """
        letter = await self._dead_letters.get(dead_letter_id)
        if letter.redrive_time is not None:
            return letter
        try:
            return await self._handle_again(letter, await self._event_of(letter))
        except DomainError:
            raise
        except RemoteError as error:
            raise Unavailable("the order service can't be asked now") from error
        except Exception as error:  # whatever keeps it from being handled is the answer
            await self._dead_letters.failed(dead_letter_id, f"{type(error).__name__}: {error}")
            refusal = RedriveFailed("the event still cannot be handled")
            await self._audit_log.refused(refusal, resource=_resource(letter))
            raise refusal from error

    async def _handle_again(self, letter: DeadLetter, event: Event) -> DeadLetter:
        async with self._db.transaction() as conn:
            letter = await self._dead_letters.lock(conn, letter.dead_letter_id)
            if letter.redrive_time is not None:
                return letter
            await self.notify(conn, event)
            await audit.record(conn, resource=_resource(letter))
            return await self._dead_letters.redriven(conn, letter.dead_letter_id)

    async def _event_of(self, letter: DeadLetter) -> Event:
        """Returns the event of a dead letter as the order service has it.

        Nothing but the event's id is taken from what was delivered, however damaged the rest.
        Raises ValueError, TypeError or LookupError if there is none, and RemoteError.
        """
        event_id = UUID(json.loads(letter.raw)["eventId"])
        confirmed = await self._confirm([event_id])
        if event_id not in confirmed:
            raise LookupError("the order service has no such event")
        return confirmed[event_id]


def _resource(letter: DeadLetter) -> str:
    return f"deadLetters/{letter.dead_letter_id}"
