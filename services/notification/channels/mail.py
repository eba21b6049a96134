"""Notifications by e-mail, over SMTP (RFC 5321)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Literal
from uuid import UUID

import aiosmtplib

from services.mesh.errors import RemoteError
from services.mesh.settings import Secret
from services.notification.channels import NotSent
from services.notification.domain import Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """A mail server and how to speak to it.

    `sender` is the From of every message. `timeout` is for one message, from connecting to its end.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "off"]
    username: str | None
    password: Secret | None
    sender: str
    timeout: timedelta


class MailSender:
    """Sends by a mail server, to the address that `address_of` tells at that moment.

    The Message-ID (RFC 5322 section 3.6.4) comes from the notification, so that a message that was
    sent twice can be recognized as one.
    """

    def __init__(self, server: SmtpServer, *, address_of: Callable[[UUID], Awaitable[str]]) -> None:
        self._server = server
        self._address_of = address_of

    async def send(self, dispatch: Dispatch) -> None:
        """Sends one. Raises NotSent."""
        try:
            to = await self._address_of(dispatch.draft.user_id)
        except RemoteError as error:
            raise NotSent(f"no address: {error.code} {error.reason}") from error
        server = self._server
        try:
            message = _message(dispatch, sender=server.sender, to=to)
        except ValueError as error:
            # HTML's rule for addresses, which the contract has, takes "a..b@example.com".
            raise NotSent("the address is none of RFC 5322") from error
        try:
            # aiosmtplib's own timeout begins anew with each command.
            async with asyncio.timeout(server.timeout.total_seconds()):
                await aiosmtplib.send(
                    message,
                    hostname=server.host,
                    port=server.port,
                    username=server.username,
                    password=server.password.reveal() if server.password else None,
                    use_tls=server.security == "tls",
                    start_tls=server.security == "starttls",
                    timeout=server.timeout.total_seconds(),
                )
        except (aiosmtplib.SMTPException, OSError) as error:
            # Its text may tell the address.
            raise NotSent(f"SMTP: {type(error).__name__}") from error


def _message(dispatch: Dispatch, *, sender: str, to: str) -> EmailMessage:
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message = EmailMessage()
    message["Message-ID"] = f"<{dispatch.notification_id}@{domain}>"
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = dispatch.draft.title
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5
    message.set_content(dispatch.draft.body)
    return message
