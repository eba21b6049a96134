"""Provider events: told to the payment service's webhook, signed, by HTTP POST.

    {"eventId": "...", "paymentId": "...", "sendTime": "2026-01-31T12:00:00Z", "signature": "..."}

The signature is the HMAC-SHA256, in hex, over `eventId.paymentId.seconds`, where `seconds` is the
time of sending in seconds since 1970.
"""

import asyncio
import hashlib
import hmac
import time
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import structlog

from services.mesh import backoff
from services.mesh.settings import Secret

_log = structlog.get_logger(__name__)

_TRIES = 3


class Webhook:
    """The payment service's webhook at `url`. Events wait in memory until `run` has posted them."""

    def __init__(self, session: aiohttp.ClientSession, *, url: str, secret: Secret) -> None:
        self._session = session
        self._url = url
        self._secret = secret
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    def tell(self, payment: str, *, times: int) -> None:
        """Sees to it that one event about a payment is posted so many times."""
        event = self._event(payment)
        for _ in range(times):
            self._events.put_nowait(event)

    async def run(self) -> None:
        """Posts the events one after the other, each until it is taken or was tried enough."""
        while True:
            await self._post(await self._events.get())

    async def _post(self, event: dict[str, str]) -> None:
        for _, pause in zip(range(_TRIES), backoff.delays(), strict=False):
            try:
                async with self._session.post(self._url, json=event) as answer:
                    if answer.ok:
                        return
                    fault = f"HTTP {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                fault = type(error).__name__
            _log.warning("event not taken", event_id=event["eventId"], fault=fault)
            await asyncio.sleep(pause)

    def _event(self, payment: str) -> dict[str, str]:
        event_id, seconds = f"evt_{uuid4().hex}", int(time.time())
        signed = f"{event_id}.{payment}.{seconds}".encode()
        key = self._secret.reveal().encode()
        return {
            "eventId": event_id,
            "paymentId": payment,
            "sendTime": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "signature": hmac.new(key, signed, hashlib.sha256).hexdigest(),
        }
