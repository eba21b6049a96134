"""Notifications as text messages, by an HTTP endpoint.

    POST <url>
    Authorization: Bearer <api key>
    Idempotency-Key: <notification id>

    {"to": "+491701234567", "text": "..."}

Any 2xx answer means that the message was taken.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import aiohttp

from services.mesh.settings import Secret
from services.notification.channels import NotSent
from services.notification.domain import Dispatch


class SmsSender:
    """Sends by the endpoint at `url`, to the number that `phone_number_of` tells at that moment.

    Made by `sender`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        url: str,
        api_key: Secret | None,
        phone_number_of: Callable[[UUID], Awaitable[str]],
    ) -> None:
        self._session = session
        self._url = url
        self._api_key = api_key
        self._phone_number_of = phone_number_of

    async def send(self, dispatch: Dispatch) -> None:
        """Sends one. Raises NotSent."""
        to = await self._phone_number_of(dispatch.draft.user_id)
        if not to:
            raise NotSent("the user has no phone number")
        headers = {"Idempotency-Key": str(dispatch.notification_id)}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key.reveal()}"
        body = {"to": to, "text": f"{dispatch.draft.title}. {dispatch.draft.body}"}
        try:
            async with self._session.post(self._url, json=body, headers=headers) as answer:
                if not answer.ok:
                    raise NotSent(f"the endpoint answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotSent(f"the endpoint: {type(error).__name__}") from error


@asynccontextmanager
async def sender(
    *,
    url: str,
    api_key: Secret | None,
    phone_number_of: Callable[[UUID], Awaitable[str]],
    send_timeout: timedelta,
) -> AsyncIterator[SmsSender]:
    """Opens the way to the endpoint; one message may take `send_timeout`."""
    bound = aiohttp.ClientTimeout(total=send_timeout.total_seconds())
    async with aiohttp.ClientSession(timeout=bound) as session:
        yield SmsSender(session, url=url, api_key=api_key, phone_number_of=phone_number_of)
