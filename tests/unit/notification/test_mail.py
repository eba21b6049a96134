"""What mail servers could not be told is told to operators in words, and in no traceback."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.mesh.ids import new_id
from services.notification.channels import NotSent
from services.notification.channels.mail import MailSender, SmtpServer
from services.notification.domain import Channel, Dispatch, Draft

_NOWHERE = SmtpServer(
    host="127.0.0.1",
    port=1,
    security="off",
    username=None,
    password=None,
    sender="Souk <no-reply@souk.local>",
    timeout=timedelta(seconds=1),
)

_DISPATCH = Dispatch(
    notification_id=new_id(),
    draft=Draft(
        user_id=new_id(),
        order_id=new_id(),
        type="order.created",
        title="We have your order",
        body="Thank you.",
    ),
    channel=Channel.EMAIL,
    attempt=1,
)


@pytest.mark.parametrize("address", ["a..b@example.com", ".a@example.com", "a.@example.com"])
async def test_an_address_that_mail_does_not_know(address: str) -> None:
    """The contract takes what HTML takes, which is more than RFC 5322: it is not sent."""

    async def address_of(_user_id: UUID) -> str:
        return address

    with pytest.raises(NotSent, match=r"^the address is none of RFC 5322$"):
        await MailSender(_NOWHERE, address_of=address_of).send(_DISPATCH)
