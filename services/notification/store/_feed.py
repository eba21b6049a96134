"""Tells who waits of new notifications, by one listening connection for the whole process.

Who is woken reads what is new since a while before it read last. A transaction that commits late is
so found too, and a wake-up that was lost costs a poll.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from uuid import UUID

from services.mesh import backoff, waiting
from services.mesh.database import Database
from services.mesh.errors import DomainError
from services.mesh.listen import listen
from services.mesh.waiting import Watchers
from services.notification.domain import Notification
from services.notification.store._notifications import ADDED, NotificationStore

# Longer than a transaction lasts from writing a notification to its commit.
_OVERLAP = timedelta(seconds=15)
_POLL_SECONDS = 15


class Feed:
    """New notifications. `due` is set when there may be something to send."""

    def __init__(self, db: Database, notifications: NotificationStore) -> None:
        self._db = db
        self._notifications = notifications
        self._watchers = Watchers()
        self.due = asyncio.Event()

    async def run(self) -> None:
        """Listens until cancelled, through every outage of the database."""
        await backoff.repeat(self._listen, despite=(DomainError,), name="notification feed")

    async def begin(self, user_id: UUID) -> AsyncGenerator[Notification, None]:
        """Returns the user's notifications from now on, without end."""
        since = await self._notifications.now() - _OVERLAP
        known = await self._notifications.since(user_id, since)
        return self._follow(user_id, since, {each.notification_id for each in known})

    async def _follow(
        self, user_id: UUID, since: datetime, told: set[UUID]
    ) -> AsyncGenerator[Notification, None]:
        with self._watchers.watching(str(user_id)) as added:
            while True:
                added.clear()
                now = await self._notifications.now()
                found = await self._notifications.since(user_id, since)
                for each in found:
                    if each.notification_id not in told:
                        yield each
                told = {each.notification_id for each in found}
                since = now - _OVERLAP
                await waiting.set_within(added, _POLL_SECONDS)

    async def _listen(self) -> None:
        await listen(self._db, {ADDED: self._on_added}, begun=self._wake_everybody)

    def _on_added(self, user_id: str) -> None:
        self.due.set()
        self._watchers.wake(user_id)

    def _wake_everybody(self) -> None:
        """Has everybody read, since nobody listened until now."""
        self.due.set()
        self._watchers.wake_everybody()
