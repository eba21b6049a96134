"""What the adapter makes of answers that are none of its provider's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from services.local import ports
from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.mesh.settings import Secret
from services.payment.domain import ProviderUnavailable, Unknown
from services.payment.sandbox_provider import SandboxProvider

EURO = Amount(currency="EUR", minor=100)

# Cut off, another type, other fields, and fields of another type.
STRANGE = ['{"outcome": "succ', "[]", "7", '{"error": "busy"}', '{"operations": 7}']

CALLS: dict[str, Callable[[SandboxProvider], Awaitable[object]]] = {
    "authorize": lambda it: it.authorize("k", payment_id=new_id(), amount=EURO, payment_token="t"),
    "capture": lambda it: it.capture("k", authorization="a", amount=EURO),
    "void": lambda it: it.void("k", authorization="a"),
    "refund": lambda it: it.refund("k", capture="c", amount=EURO),
    "lookup": lambda it: it.lookup("k"),
}


@asynccontextmanager
async def provider(body: str) -> AsyncIterator[SandboxProvider]:
    """Yields the adapter to a provider that answers everything by one body."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, ports.LOOPBACK, 0)
    try:
        await site.start()
        async with aiohttp.ClientSession(f"http://{ports.address(runner.addresses[0][1])}") as http:
            second = timedelta(seconds=1)
            yield SandboxProvider(
                http, api_key=Secret("key"), timeout=second, lookup_timeout=second
            )
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("body", STRANGE)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
    call: str, body: str
) -> None:
    """Whatever a provider answers, no operation raises: it is to be asked again."""
    async with provider(body) as strange:
        assert Unknown() == await CALLS[call](strange)


@pytest.mark.parametrize("body", STRANGE)
async def test_a_ledger_that_cannot_be_read_ends_the_reconciliation(body: str) -> None:
    """A page that is none counts as no answer."""
    async with provider(body) as strange:
        with pytest.raises(ProviderUnavailable):
            await strange.list_operations(since=datetime.now(UTC), page="")
