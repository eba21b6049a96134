"""Visitors who come at a given rate, whether or not those before them were served.

Of five, one buys and four look around. Who is refused tries again as a gRPC client does that has
the shop's service config: three times at most, when it was told to, and only as long as few of all
fail (gRFC A6).
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from gateway.transcoding.transport.native.retry import Throttle
from services.mesh.service_config import service_config
from tests.chaos.buyers import new_id
from tests.chaos.catalogue import Catalogue

CHECKOUT: Final = "checkout"
LOOK: Final = "look"
LOOKS_PER_CHECKOUT: Final = 4

_ATTEMPTS = 3
_REFUSED = (429, 503)
_USERS = 200
_LIST_PRODUCTS = "/v1/products?pageSize=20"
_LIST_ORDERS = "/v1/orders?pageSize=10"
_TIMEOUTS = {CHECKOUT: 10.0, LOOK: 3.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request. `service`: whose RPC it is. `refused_by`: who had no room for it, if any."""

    kind: str
    ended: float
    service: str
    status: int
    refused_by: str
    retry_seconds: float | None = None
    state: str = ""

    @property
    def outcome(self) -> str:
        """What came of it, in a word or two: "200 CONFIRMED", "429 gateway.souk"."""
        state = self.state.removeprefix("ORDER_STATE_")
        return " ".join(filter(None, (str(self.status or "none"), self.refused_by, state)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What one visitor wanted and got. `ok`: in time and whole; a purchase is confirmed."""

    kind: str
    began: float
    ended: float
    attempts: int
    status: int
    ok: bool

    @property
    def was_shed(self) -> bool:
        """Whether there was no room for it, in the end."""
        return self.status in _REFUSED

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(slots=True, kw_only=True)
class Visitors:
    """All visitors of a run, by `session` to the gateway at `base`, with the access `token`s."""

    session: aiohttp.ClientSession
    base: str
    token: Callable[[str], str]
    catalogue: Catalogue
    dice: random.Random
    visits: list[Visit] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    _throttle: Throttle = field(default_factory=lambda: Throttle(service_config(())))
    _users: list[str] = field(default_factory=list)

    async def come(self, checkouts: float, seconds: float, *, tasks: asyncio.TaskGroup) -> None:
        """Lets so many who buy, and four times as many who look, come a second."""
        self._users = self._users or [new_id(self.dice) for _ in range(_USERS)]
        async with asyncio.TaskGroup() as streams:
            for kind, rate in ((CHECKOUT, checkouts), (LOOK, checkouts * LOOKS_PER_CHECKOUT)):
                streams.create_task(self._stream(kind, rate, seconds, tasks))

    async def _stream(
        self, kind: str, rate: float, seconds: float, tasks: asyncio.TaskGroup
    ) -> None:
        due = time.monotonic()
        end = due + seconds
        while due < end:
            tasks.create_task(self._visit(kind))
            due += self.dice.uniform(0.5, 1.5) / rate
            # One that is late lets those who are due come at once: the rate is what was asked for.
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _visit(self, kind: str) -> None:
        user = self.dice.choice(self._users)
        wish = self._purchase() if kind == CHECKOUT else self._look()
        began = time.monotonic()
        attempt, tries = await self._attempt(kind, user, wish), 1
        while attempt.status in _REFUSED and self._throttle.on_failure() and tries < _ATTEMPTS:
            await asyncio.sleep(attempt.retry_seconds or self.dice.uniform(0.05, 0.2))
            attempt, tries = await self._attempt(kind, user, wish), tries + 1
        if attempt.status not in _REFUSED:
            self._throttle.on_success()
        confirmed = kind == LOOK or attempt.state == "ORDER_STATE_CONFIRMED"
        self.visits.append(
            Visit(
                kind=kind,
                began=began,
                ended=time.monotonic(),
                attempts=tries,
                status=attempt.status,
                ok=attempt.status == 200 and confirmed,
            )
        )

    def _purchase(self) -> dict[str, Any]:
        items = self.catalogue.basket(self.dice)
        return {
            "method": "POST",
            "path": "/v1/orders",
            "headers": {"Idempotency-Key": new_id(self.dice)},
            "json": {
                "items": [{"productId": each, "quantity": items[each]} for each in items],
                "paymentToken": "tok_ok",
            },
        }

    def _look(self) -> dict[str, Any]:
        product = self.dice.choice(self.dice.choice(self.catalogue.plenty))
        path = self.dice.choice((f"/v1/products/{product}", _LIST_PRODUCTS, _LIST_ORDERS))
        return {"method": "GET", "path": path, "headers": {}, "json": None}

    async def _attempt(self, kind: str, user: str, wish: Mapping[str, Any]) -> Attempt:
        status, body = 0, {}
        try:
            async with self.session.request(
                wish["method"],
                self.base + wish["path"],
                headers={"Authorization": f"Bearer {self.token(user)}", **wish["headers"]},
                json=wish["json"],
                timeout=aiohttp.ClientTimeout(total=_TIMEOUTS[kind]),
            ) as answer:
                status, body = answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            status = 0
        attempt = Attempt(
            kind=kind,
            ended=time.monotonic(),
            service="product" if wish["path"].startswith("/v1/products") else "order",
            status=status,
            refused_by=_detail(body, "domain") if status in _REFUSED else "",
            retry_seconds=_seconds(_detail(body, "retryDelay")),
            state=str(body.get("state", "")),
        )
        self.attempts.append(attempt)
        return attempt


def _detail(body: Mapping[str, Any], name: str) -> str:
    """Returns what a google.rpc.Status says in its details under this name."""
    status = body.get("error", body)
    details = status.get("details", []) if isinstance(status, dict) else []
    return next((str(each[name]) for each in details if name in each), "")


def _seconds(duration: str) -> float | None:
    return float(duration.removesuffix("s")) if duration else None
