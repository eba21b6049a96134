"""The payment service over a real database and the real sandbox provider process.

`shop` is the service as `app` builds it, called like a servicer by whoever `acting` says. When a
test ends, what the service believes is held against the provider's ledger, payment by payment.
"""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from services.local import ports, readiness
from services.local.program import Program, running
from services.mesh import identity
from services.mesh.amount import Amount
from services.mesh.app import App
from services.mesh.clients import open_mesh
from services.mesh.identity import Caller
from services.mesh.ids import new_id
from services.mesh.money import money_from_amount
from services.mesh.settings import Secret
from services.payment import app
from services.payment.servicer import PaymentServicer
from services.payment.settings import Settings
from souk.payment.v1 import payment_pb2
from souk.payment.v1 import payment_service_pb2 as pb

API_KEY = "sandbox-key"
WEBHOOK_SECRET = "webhook-secret"
OK = "tok_ok"
USER = "0199a3c4-0000-7000-8000-000000000003"

ORDER = Caller(service="order")


def support() -> Caller:
    """Returns somebody of the support staff."""
    return Caller(service="gateway", subject=str(new_id()), roles=frozenset({"support"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A running sandbox provider; `pid` is its process, `events` is what it has told so far."""

    url: str
    pid: int
    events: list[dict[str, str]]

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        key: str = "",
        api_key: str = API_KEY,
    ) -> aiohttp.ClientResponse:
        """Returns the answer to a call, read to its end; `key` is the idempotency key."""
        headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": key}
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.request(method, path, headers=headers, json=json) as answer,
        ):
            await answer.read()
            return answer

    async def ledger(self, payment_id: str) -> list[tuple[str, int | None]]:
        """Returns what was done for a payment, the first first: its type and minor units."""
        answer = await self.request("GET", "/v1/ledger")
        return [
            (each["type"], each["amount"] and each["amount"]["minor"])
            for each in (await answer.json())["operations"]
            if each["key"].startswith(payment_id) and each["outcome"] == "succeeded"
        ]


def sandbox_program(folder: Path, port: int, *, webhook_url: str = "") -> Program:
    """Describes a sandbox provider that keeps its ledger in `folder`."""
    address = ports.address(port)
    return Program(
        name="sandbox",
        argv=(sys.executable, "-m", "services.sandbox"),
        environment={
            "SOUK_SANDBOX_API_KEY": API_KEY,
            "SOUK_SANDBOX_LEDGER": str(folder / "ledger.sqlite3"),
            "SOUK_SANDBOX_LISTEN": address,
            "SOUK_SANDBOX_WEBHOOK_URL": webhook_url,
            "SOUK_SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        check=lambda: readiness.check_http(address, "/healthz"),
    )


@asynccontextmanager
async def webhook(events: list[dict[str, str]]) -> AsyncIterator[str]:
    """Serves a webhook that takes every event; yields its URL."""

    async def take(request: web.Request) -> web.Response:
        events.append(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, ports.LOOPBACK, 0).start()
    yield f"http://{ports.address(runner.addresses[0][1])}/"
    await runner.cleanup()


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    """Runs a sandbox provider for all tests."""
    port = ports.free()[0]
    folder = tmp_path_factory.mktemp("sandbox")
    events: list[dict[str, str]] = []
    async with (
        webhook(events) as webhook_url,
        running(sandbox_program(folder, port, webhook_url=webhook_url)) as process,
    ):
        yield Sandbox(url=f"http://{ports.address(port)}", pid=process.pid, events=events)


@pytest.fixture(scope="session")
async def settings(make_database, sandbox: Sandbox) -> Settings:
    """Gives settings with short waits, and brings their database to the present schema."""
    made = Settings(
        tls="off",
        database_url=Secret(await make_database()),
        provider_url=sandbox.url,
        provider_api_key=Secret(API_KEY),
        provider_webhook_secret=Secret(WEBHOOK_SECRET),
        provider_timeout=timedelta(seconds=2),
        provider_lookup_timeout=timedelta(seconds=2),
        resolve_interval=timedelta(milliseconds=50),
        resolve_after=timedelta(milliseconds=200),
    )
    assert app.PROCESS.migrate is not None
    await app.PROCESS.migrate(made)
    return made


def authorize_request(
    token: str, *, order: str, minor: int = 1000, key: str | None = None, user: str = USER
) -> pb.AuthorizeRequest:
    """Returns what sets an amount in cents aside."""
    return pb.AuthorizeRequest(
        request_id=key or f"{order}:authorize",
        order_id=order,
        user_id=user,
        amount=money_from_amount(Amount(currency="EUR", minor=minor)),
        payment_token=token,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The service's RPCs with requests already filled in; `orders` lists those that were used."""

    service: PaymentServicer
    app: App
    orders: list[UUID]
    database_url: str

    def order(self) -> str:
        """Returns the id of a new order."""
        self.orders.append(new_id())
        return str(self.orders[-1])

    async def authorize(
        self,
        token: str = OK,
        *,
        order: str | None = None,
        minor: int = 1000,
        key: str | None = None,
        user: str = USER,
    ) -> payment_pb2.Payment:
        """Sets an amount in cents aside, for a new order under a key of its own unless given."""
        order = order or self.order()
        request = authorize_request(token, order=order, minor=minor, key=key, user=user)
        return (await self.service.Authorize(request, None)).payment

    async def capture(self, payment_id: str, *, key: str | None = None) -> payment_pb2.Payment:
        """Takes the money."""
        request = pb.CaptureRequest(request_id=key or str(new_id()), payment_id=payment_id)
        return (await self.service.Capture(request, None)).payment

    async def void(self, order: str, *, key: str | None = None) -> pb.VoidResponse:
        """Voids the payment of an order."""
        request = pb.VoidRequest(request_id=key or str(new_id()), order_id=order)
        return await self.service.Void(request, None)

    async def refund(
        self,
        payment_id: str,
        minor: int | None = None,
        *,
        key: str | None = None,
        currency: str = "EUR",
    ) -> payment_pb2.Payment:
        """Gives an amount in cents back, or all."""
        request = pb.RefundRequest(request_id=key or str(new_id()), payment_id=payment_id)
        if minor is not None:
            amount = money_from_amount(Amount(currency=currency, minor=minor))
            request.amount.CopyFrom(amount)
        return (await self.service.Refund(request, None)).payment

    async def payments(self, order: str) -> list[payment_pb2.Payment]:
        """Returns the payments of an order."""
        request = pb.ListPaymentsRequest(order_id=order)
        return list((await self.service.ListPayments(request, None)).payments)

    async def state(self, order: str) -> str:
        """Returns the state of the payment of an order as support sees it, like "CAPTURED"."""
        before = identity.caller()
        identity.serve_as(support())
        payment = (await self.payments(order))[0]
        identity.serve_as(before)
        name = payment_pb2.PaymentState.Name(payment.state)
        return name.removeprefix("PAYMENT_STATE_")


@pytest.fixture
async def shop(settings: Settings, sandbox: Sandbox) -> AsyncIterator[Shop]:
    """Builds the service, called by the order service; holds its books against the ledger."""
    identity.serve_as(ORDER)
    async with open_mesh("payment", settings) as mesh, app.build(settings, mesh) as built:
        (service,) = built.servicers.values()
        assert isinstance(service, PaymentServicer)
        made = Shop(
            service=service,
            app=built,
            orders=[],
            database_url=settings.database_url.reveal(),
        )
        yield made
        await _balance(settings, sandbox, made.orders)


async def _balance(settings: Settings, sandbox: Sandbox, orders: list[UUID]) -> None:
    """Asserts that per payment, captures and refunds are those of the ledger."""
    conn = await asyncpg.connect(settings.database_url.reveal())
    try:
        rows = await conn.fetch(
            "SELECT payment_id, captured_minor, refunded_minor FROM payments"
            " WHERE order_id = ANY($1) AND state <> 'UNKNOWN'",
            orders,
        )
    finally:
        await conn.close()
    for row in rows:
        done = await sandbox.ledger(str(row["payment_id"]))
        captured = sum(minor or 0 for kind, minor in done if kind == "capture")
        refunded = sum(minor or 0 for kind, minor in done if kind == "refund")
        assert (row["captured_minor"], row["refunded_minor"]) == (captured, refunded)
        assert [kind for kind, _ in done].count("authorization") <= 1
