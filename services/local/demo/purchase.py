"""`souk demo`: one purchase from end to end, over REST, each step told with its time.

subscribe ─ register ─ login ─ list ─ buy ─ confirmed ─ captured ─ stock ─ notified ─ event
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.local.console import Console
from services.local.demo.rest import Shop
from services.local.endpoints import Endpoints

_CHANNEL = "order.created"
_QUANTITY = 2
_PATIENCE_SECONDS = 15
_POLL_SECONDS = 0.1


class StepFailed(Exception):
    """A step did not lead where it should; the message says what was seen instead."""


async def buy(where: Endpoints, console: Console) -> None:
    """Buys two pieces of something and follows them to the end.

    Raises StepFailed or CallFailed at the first step that fails.
    """
    async with (
        _subscribed(where.redis) as events,
        aiohttp.ClientSession() as session,
    ):
        walk = _Walk(console)
        visitor = Shop(session=session, base_url=where.gateway)
        shop = await _sign_in(walk, visitor)
        product = await walk.step("list", _choose(shop), _describe_product)
        order = await walk.step("buy", _order(shop, product), _describe_order)
        await _follow(walk, shop, order, product)
        await walk.step("event", _published(events, order), lambda event: f"{event} on {_CHANNEL}")


class _Walk:
    """Tells each step with the time it took and what came of it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def step(
        self, name: str, work: Awaitable[Any], describe: Callable[[Any], str] = str
    ) -> Any:
        began = time.monotonic()
        result = await work
        self._console.done(name, time.monotonic() - began, describe(result))
        return result


async def _sign_in(walk: _Walk, visitor: Shop) -> Shop:
    email, password = f"demo-{secrets.token_hex(4)}@souk.example", secrets.token_urlsafe(12)
    person = {"email": email, "password": password, "displayName": "Demo"}
    await walk.step("register", visitor.post("/v1/users", person), lambda user: user["email"])
    credentials = {"email": email, "password": password}
    session = await walk.step(
        "login", visitor.post("/v1/sessions", credentials), lambda it: f"until {it['expireTime']}"
    )
    return replace(visitor, token=session["accessToken"])


async def _choose(shop: Shop) -> Any:
    page = await shop.get(
        "/v1/products", filter=f"stock>={_QUANTITY}", orderBy="title", pageSize="1"
    )
    if not page.get("products"):
        raise StepFailed(f"no product has {_QUANTITY} pieces in stock")
    return page["products"][0]


async def _order(shop: Shop, product: Any) -> Any:
    order = {
        "items": [{"productId": product["productId"], "quantity": _QUANTITY}],
        "paymentToken": "tok_ok",
    }
    return await shop.post("/v1/orders", order, Idempotency_Key=secrets.token_hex(16))


async def _follow(walk: _Walk, shop: Shop, order: Any, product: Any) -> None:
    """Waits for all that a purchase brings about."""
    order_path = f"/v1/orders/{order['orderId']}"
    product_path = f"/v1/products/{product['productId']}"
    left = product["stock"] - _QUANTITY
    await walk.step(
        "confirmed",
        _until(lambda: shop.get(order_path), lambda it: it["state"] == "ORDER_STATE_CONFIRMED"),
        lambda it: it["state"],
    )
    await walk.step(
        "captured",
        _until(lambda: shop.get(f"{order_path}/payments"), _is_captured),
        lambda it: it["payments"][0]["state"],
    )
    await walk.step(
        "stock",
        _until(lambda: shop.get(product_path), lambda it: it.get("stock", 0) <= left),
        lambda it: f"{product['stock']} before, {it.get('stock', 0)} now",
    )
    await walk.step(
        "notified",
        _until(lambda: shop.get("/v1/notifications"), lambda it: _notification(it, order)),
        lambda it: _notification(it, order)["title"],
    )


async def _until(ask: Callable[[], Awaitable[Any]], is_so: Callable[[Any], Any]) -> Any:
    """Asks again and again until the answer is as wanted, and returns it."""
    answer = None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not is_so(answer := await ask()):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise StepFailed(f"still not so after {_PATIENCE_SECONDS} s: {answer}") from None
    return answer


def _is_captured(page: Any) -> bool:
    return any(it["state"] == "PAYMENT_STATE_CAPTURED" for it in page.get("payments", []))


def _notification(page: Any, order: Any) -> Any:
    found = (it for it in page.get("notifications", []) if it["orderId"] == order["orderId"])
    return next(found, None)


def _describe_product(product: Any) -> str:
    return f"{product['title']} at {_money(product['price'])}, {product['stock']} in stock"


def _describe_order(order: Any) -> str:
    return f"{order['orderId']}, {_money(order['total'])}, {order['state']}"


def _money(money: Any) -> str:
    cents = int(money.get("units", 0)) * 100 + money.get("nanos", 0) // 10_000_000
    return f"{cents // 100}.{cents % 100:02} {money['currencyCode']}"


@contextlib.asynccontextmanager
async def _subscribed(url: str) -> AsyncIterator[PubSub]:
    """Listens on the channel like any plain subscriber."""
    async with Redis.from_url(url) as client, client.pubsub() as events:
        await events.subscribe(_CHANNEL)
        yield events


async def _published(events: PubSub, order: Any) -> str:
    """Returns the id of the event about the order, once it has come."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for message in events.listen():
                event = orjson.loads(message["data"]) if message["type"] == "message" else {}
                if event.get("aggregateId") == order["orderId"]:
                    event_id: str = event["eventId"]
                    return event_id
    except TimeoutError:
        pass
    raise StepFailed(f"nothing about the order came on {_CHANNEL} in {_PATIENCE_SECONDS} s")
