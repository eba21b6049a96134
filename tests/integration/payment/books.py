"""A payment service, its provider and the order service, whose books are to be reconciled.

All three are real: the provider with a ledger of its own, the order service on a database of its
own. Its workers do not run, so an order stays as a test makes it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from services.local import ports
from services.mesh import database, identity
from services.mesh.amount import Amount
from services.mesh.app import App
from services.mesh.clients import open_mesh
from services.mesh.ids import new_id
from services.mesh.money import money_from_amount
from services.mesh.server import serving
from services.mesh.settings import Secret
from services.order import app as order_app
from services.order.domain import Line, Reason
from services.order.settings import Settings as OrderSettings
from services.order.store import LeaseStore, NewOrder, OrderStore
from services.payment import app
from services.payment.servicer import PaymentServicer
from services.payment.settings import Settings
from services.sandbox import server as sandbox_server
from services.sandbox.settings import Settings as SandboxSettings
from souk.payment.v1 import discrepancy_pb2, payment_pb2
from souk.payment.v1 import payment_service_pb2 as pb
from tests.conftest import MakeDatabase
from tests.integration.payment.conftest import API_KEY, OK, ORDER, USER, WEBHOOK_SECRET

PRICE = Amount(currency="EUR", minor=1000)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The services; `conn` is a connection to the payment service's database."""

    service: PaymentServicer
    app: App
    conn: "asyncpg.Connection[asyncpg.Record]"
    provider: aiohttp.ClientSession
    orders: OrderStore
    leases: LeaseStore

    async def order(self) -> str:
        """Returns an order of the price that is in the making."""
        line = Line(product_id=new_id(), sku="A", title="A thing", quantity=1, unit_price=PRICE)
        new = NewOrder(
            order_id=new_id(),
            user_id=UUID(USER),
            lines=(line,),
            payment_token=OK,
            request_id=str(new_id()),
        )
        lease = await self.orders.place(new, lease=_MINUTE)
        assert lease is not None
        await self.leases.release(lease)
        return str(new.order_id)

    async def undo(self, order: str) -> None:
        """Brings an order to its end as expired, whatever became of its payment."""
        lease = await self.leases.acquire(UUID(order))
        assert lease is not None
        undoing = await self.leases.record(lease, lease.order.undo(Reason.TIMED_OUT))
        await self.leases.record(undoing, undoing.order.undone(money_returned=False))

    async def authorize(
        self, *, order: str | None = None, token: str = OK, minor: int = PRICE.minor
    ) -> payment_pb2.Payment:
        """Sets the money for an order aside, a new one unless given."""
        order = order or await self.order()
        request = pb.AuthorizeRequest(
            request_id=str(new_id()),
            order_id=order,
            user_id=USER,
            amount=money_from_amount(Amount(currency="EUR", minor=minor)),
            payment_token=token,
        )
        return (await self.service.Authorize(request, None)).payment

    async def capture(self, payment: payment_pb2.Payment) -> payment_pb2.Payment:
        """Takes the money."""
        request = pb.CaptureRequest(request_id=str(new_id()), payment_id=payment.payment_id)
        return (await self.service.Capture(request, None)).payment

    async def refund(self, payment: payment_pb2.Payment) -> payment_pb2.Payment:
        """Gives all the money back."""
        request = pb.RefundRequest(request_id=str(new_id()), payment_id=payment.payment_id)
        return (await self.service.Refund(request, None)).payment

    async def void(self, payment: payment_pb2.Payment) -> None:
        """Sets the money aside no longer."""
        request = pb.VoidRequest(request_id=str(new_id()), order_id=payment.order_id)
        await self.service.Void(request, None)

    async def at_provider(self, path: str, key: str, **body: Any) -> None:
        """Does something at the provider without the payment service."""
        headers = {"Idempotency-Key": key}
        async with self.provider.post(path, json=body, headers=headers) as answer:
            assert (await answer.json())["outcome"] == "succeeded"

    async def reconcile(self) -> tuple[int, int, int]:
        """Reconciles; returns how much was found, repaired, and is open then."""
        response = await self.service.ReconcilePayments(pb.ReconcilePaymentsRequest(), None)
        return response.discrepancy_count, response.repaired_count, response.open_count

    async def discrepancies(self) -> list[tuple[str, str]]:
        """Returns type and resolution of all that was ever found, the first first."""
        request = pb.ListDiscrepanciesRequest(show_resolved=True, page_size=100)
        found = (await self.service.ListDiscrepancies(request, None)).discrepancies
        return [
            (
                discrepancy_pb2.DiscrepancyType.Name(each.type).removeprefix("DISCREPANCY_TYPE_"),
                discrepancy_pb2.DiscrepancyResolution.Name(each.resolution).removeprefix(
                    "DISCREPANCY_RESOLUTION_"
                ),
            )
            for each in reversed(found)
        ]

    async def state(self, payment: payment_pb2.Payment) -> str:
        """Returns the state of a payment from its row."""
        query = "SELECT state FROM payments WHERE payment_id = $1"
        return str(await self.conn.fetchval(query, UUID(payment.payment_id)))

    async def ledger(self) -> list[str]:
        """Returns the types of all that the provider has done, the first first."""
        async with self.provider.get("/v1/ledger") as answer:
            operations = (await answer.json())["operations"]
        return [each["type"] for each in operations if each["outcome"] == "succeeded"]


def amount(minor: int = PRICE.minor) -> dict[str, Any]:
    """Returns a sum in EUR as the provider reads it."""
    return {"currency": "EUR", "minor": minor}


@asynccontextmanager
async def opened(
    make_database: MakeDatabase, redis_url: str, folder: Path, **settings: Any
) -> AsyncIterator[Books]:
    """Runs everything with empty databases and an empty ledger; `settings` are of payment."""
    identity.serve_as(ORDER)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        order_settings = await _order_settings(make_database, redis_url)
        sandbox = SandboxSettings(
            sandbox_api_key=Secret(API_KEY),
            sandbox_ledger=folder / "ledger.sqlite3",
            sandbox_listen=ports.address(0),
        )
        provider_url = await enter(sandbox_server.serving(sandbox))
        defaults: dict[str, Any] = {
            "targets": {"order": await enter(_orders(order_settings))},
            "provider_timeout": timedelta(seconds=2),
            "reconcile_grace": timedelta(0),
        }
        values = Settings(
            tls="off",
            database_url=Secret(await make_database()),
            provider_url=provider_url,
            provider_api_key=Secret(API_KEY),
            provider_webhook_secret=Secret(WEBHOOK_SECRET),
            **{**defaults, **settings},
        )
        assert app.PROCESS.migrate is not None
        await app.PROCESS.migrate(values)
        mesh = await enter(open_mesh("payment", values))
        built = await enter(app.build(values, mesh))
        (service,) = built.servicers.values()
        assert isinstance(service, PaymentServicer)
        orders = await enter(database.pool(order_settings.database_url.reveal()))
        headers = {"Authorization": f"Bearer {API_KEY}"}
        conn = await asyncpg.connect(values.database_url.reveal())
        stack.push_async_callback(conn.close)
        yield Books(
            service=service,
            app=built,
            conn=conn,
            provider=await enter(aiohttp.ClientSession(provider_url, headers=headers)),
            orders=OrderStore(orders, pay_within=_MINUTE),
            leases=LeaseStore(orders, duration=_MINUTE),
        )


async def _order_settings(make_database: MakeDatabase, redis_url: str) -> OrderSettings:
    made = OrderSettings(
        tls="off",
        listen=ports.address(0),
        drain_wait=timedelta(0),
        database_url=Secret(await make_database()),
        redis_url=Secret(redis_url),
    )
    assert order_app.PROCESS.migrate is not None
    await order_app.PROCESS.migrate(made)
    return made


@asynccontextmanager
async def _orders(settings: OrderSettings) -> AsyncIterator[str]:
    """Serves orders; yields the address."""
    async with (
        open_mesh("order", settings) as mesh,
        order_app.PROCESS.build(settings, mesh) as built,
        serving(built, mesh) as listening,
    ):
        yield listening.address
