"""Sending by a mail server that is slow."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, Envelope

from services.local import ports
from services.mesh.ids import new_id
from services.notification.channels import NotSent
from services.notification.channels.mail import MailSender, SmtpServer
from services.notification.domain import Channel, Dispatch, Draft
from tests import accepting

TIMEOUT = timedelta(seconds=0.5)


class Slow:
    """A mail server's answers, none of which takes as long as a sending may, but all together."""

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Takes the sender's address."""
        await asyncio.sleep(TIMEOUT.total_seconds() * 0.8)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - likewise
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Takes the recipient's address."""
        await asyncio.sleep(TIMEOUT.total_seconds() * 0.8)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Takes the message."""
        return "250 OK"


async def test_a_sending_has_its_time_for_all_of_it() -> None:
    """Else its lease would end while it goes on, and another process would send it once more."""
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Slow(), hostname="localhost"), ports.LOOPBACK, 0
    )

    async def address_of(_user_id: UUID) -> str:
        return "ada@example.com"

    sender = MailSender(
        SmtpServer(
            host=ports.LOOPBACK,
            port=server.sockets[0].getsockname()[1],
            security="off",
            username=None,
            password=None,
            sender="Souk <no-reply@souk.local>",
            timeout=TIMEOUT,
        ),
        address_of=address_of,
    )
    draft = Draft(user_id=new_id(), order_id=new_id(), type="order.created", title="T", body="B")
    dispatch = Dispatch(notification_id=new_id(), draft=draft, channel=Channel.EMAIL, attempt=1)
    async with accepting.closing(server):
        with pytest.raises(NotSent):
            await sender.send(dispatch)
