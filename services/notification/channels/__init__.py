"""The ways to reach a user, behind one port.

console   the service's own output
mail      SMTP
sms       an HTTP endpoint that sends text messages
"""

from typing import Protocol

from services.notification.domain import Dispatch


class NotSent(Exception):
    """The channel did not take the notification; the message says why, for operators."""


class Sender(Protocol):
    """Sends on one channel.

    A notification may be sent again when it is not known whether it went out; its id goes with it,
    so that the receiving side can tell.
    """

    async def send(self, dispatch: Dispatch) -> None:
        """Returns once the channel has taken the notification. Raises NotSent."""
