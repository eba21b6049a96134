"""Notifications in the service's own output, for development."""

import structlog

from services.notification.domain import Dispatch

_log = structlog.get_logger(__name__)


class ConsoleSender:
    """Writes notifications to the log."""

    async def send(self, dispatch: Dispatch) -> None:
        """Writes one."""
        draft = dispatch.draft
        _log.info("notification", title=draft.title, body=draft.body, user_id=str(draft.user_id))
