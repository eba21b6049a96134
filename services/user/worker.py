"""Forgets what nobody can use any more: expired sessions, and attempts to sign in that are over."""

import asyncio
from datetime import timedelta

import structlog

from services.mesh import backoff
from services.mesh.errors import DomainError
from services.user.attempt_store import AttemptStore
from services.user.session_store import SessionStore

_log = structlog.get_logger(__name__)


class Sweeper:
    """Forgets every `interval`."""

    def __init__(
        self, sessions: SessionStore, attempts: AttemptStore, *, interval: timedelta
    ) -> None:
        self._sessions = sessions
        self._attempts = attempts
        self._interval_seconds = interval.total_seconds()

    async def run(self) -> None:
        """Forgets until cancelled, through every outage of the database."""
        await backoff.repeat(self._sweep, despite=(DomainError,), name="sweep of sessions")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            count = await self._sessions.forget_expired()
            await self._attempts.forget_ended()
            _log.info("forgot expired sessions", count=count)
