"""What a provider that talks nonsense does, and a database that goes away while it is asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from services.local import ports
from services.mesh import database, migrate
from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.mesh.settings import Secret
from services.payment.domain import PaymentState, ProviderUnavailable, Unknown
from services.payment.sandbox_provider import SandboxProvider
from services.payment.store import PaymentStore, UnansweredStore
from services.payment.worker import Resolver
from services.payment.workflow import Payments
from tests.cancellation import end
from tests.chaos.tcp_proxy import TcpProxy
from tests.conftest import Eventually

SECOND = timedelta(seconds=1)
AMOUNT = Amount(currency="EUR", minor=1000)

_OPERATION = """{"key": "1", "type": "void", "follows": "0", "amount": null, "outcome": "succeeded",
    "reference": "r", "create_time": "2026-11-29T12:00:00"}"""


@asynccontextmanager
async def provider_that(
    answer: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[SandboxProvider]:
    """Runs a provider that answers everything by `answer`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, ports.LOOPBACK, 0).start()
    url = f"http://{ports.address(runner.addresses[0][1])}"
    async with aiohttp.ClientSession(url) as session:
        yield SandboxProvider(session, api_key=Secret("key"), timeout=SECOND, lookup_timeout=SECOND)
    await runner.cleanup()


@asynccontextmanager
async def provider_that_says(body: str) -> AsyncIterator[SandboxProvider]:
    """Runs a provider that answers everything by the same body, and calls it JSON."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body.encode(), content_type="application/json")

    async with provider_that(answer) as provider:
        yield provider


@pytest.mark.parametrize("body", ['{"outcome": "succ', "", "[]", "7", '{"outcome": "succeeded"}'])
async def test_an_answer_that_tells_nothing_leaves_the_outcome_unknown(body: str) -> None:
    """Truncated, empty, or of another form: nobody takes it for done, nor for refused."""
    async with provider_that_says(body) as provider:
        assert await provider.lookup("key") == Unknown()
        assert await provider.void("key", authorization="other") == Unknown()


@pytest.mark.parametrize(
    "page",
    [
        '{"operations": [',
        "[]",
        '{"operations": []}',
        '{"operations": 7, "next_page": ""}',
        '{"operations": [7], "next_page": ""}',
        '{"operations": [{}], "next_page": ""}',
        # A time of nowhere can't be compared.
        f'{{"operations": [{_OPERATION}], "next_page": ""}}',
    ],
)
async def test_a_ledger_that_cannot_be_read_counts_as_unavailable(page: str) -> None:
    """So that a reconciliation is broken off and begun anew, and the service goes on."""
    async with provider_that_says(page) as provider:
        with pytest.raises(ProviderUnavailable):
            await provider.list_operations(since=datetime(2026, 11, 29, tzinfo=UTC), page="")


async def test_a_database_that_goes_away_while_the_provider_is_asked(
    database_url: str, eventually: Eventually
) -> None:
    """The worker goes on when it is back, with payments that wait for long too."""
    await migrate.run(database_url, package="services.payment", mesh=("audit", "idempotency"))
    address = urlsplit(database_url)
    async with TcpProxy(f"{address.hostname}:{address.port}") as proxy:
        behind = urlunsplit(
            address._replace(netloc=f"{address.netloc.rpartition('@')[0]}@{proxy.address}")
        )
        asked = 0

        async def answer(_: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            if asked == 1:
                proxy.refusing = True
                proxy.cut()
            return web.json_response({"outcome": "succeeded", "reference": "it is done"})

        async with (
            provider_that(answer) as provider,
            database.pool(database_url) as db,
            database.pool(behind, name="behind") as its,
        ):
            store = PaymentStore(db, resolve_after=timedelta(0))
            payment = await store.begin(
                order_id=new_id(), user_id=new_id(), amount=AMOUNT, payment_token="tok_ok"
            )
            resolver = Resolver(
                unanswered=UnansweredStore(its, resolve_after=SECOND / 10, patience=timedelta(0)),
                payments=Payments(
                    store=PaymentStore(its, resolve_after=SECOND / 10), provider=provider
                ),
                interval=SECOND / 20,
            )

            async def is_settled() -> bool:
                return (await store.get(payment.payment_id)).state is PaymentState.AUTHORIZED

            with capture_logs() as logs:
                resolving = asyncio.create_task(resolver.run())

                async def has_met_it() -> bool:
                    told = any(each["event"] == "interrupted" for each in logs)
                    return told or resolving.done()

                try:
                    await eventually(has_met_it)
                    proxy.heal()
                    assert await eventually(is_settled)
                finally:
                    await end([resolving])
