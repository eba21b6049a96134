"""A commit that was not answered may stand: the key tells, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.mesh import database, migrate
from services.mesh.database import Connection, Database, OutcomeUnknown
from services.mesh.idempotency import Fresh, IdempotencyKeys, Scope
from souk.order.v1.order_pb2 import Order
from souk.order.v1.order_service_pb2 import CreateOrderRequest, CreateOrderResponse
from tests.chaos.tcp_proxy import TcpProxy
from tests.conftest import Eventually

_SCOPE = Scope(subject="ada", method="souk.order.v1.OrderService/CreateOrder", key="k1")
_REQUEST = CreateOrderRequest(payment_token="tok_ok", request_id="k1")
_RESPONSE = CreateOrderResponse(order=Order(order_id="7"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A database that `db` reaches through a proxy, and `conn` past it."""

    db: Database
    conn: "asyncpg.Connection[asyncpg.Record]"
    proxy: TcpProxy

    async def effects(self) -> int:
        """Returns how often the effect was committed."""
        return int(await self.conn.fetchval("SELECT count(*) FROM effects"))

    async def buy(self) -> CreateOrderResponse:
        """Has the effect once for its key, as a call does that is made again."""
        keys = IdempotencyKeys(self.db)
        return await keys.once(_SCOPE, _REQUEST, CreateOrderResponse, _effect)

    async def buy_and_hear_nothing(self) -> None:
        """Has the effect under its key; the commit is done, and its answer held back."""
        keys = IdempotencyKeys(self.db)
        async with self.db.transaction() as conn:
            claim = await keys.claim(conn, _SCOPE, _REQUEST, resource="7")
            assert isinstance(claim, Fresh)
            await keys.record(conn, claim, await _effect(conn))
            self.proxy.backward.dropped = True


async def _effect(conn: Connection) -> CreateOrderResponse:
    await conn.execute("INSERT INTO effects DEFAULT VALUES")
    return _RESPONSE


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """Opens a pool through a proxy on a database with the keys' table and one for effects."""
    await migrate.apply(database_url, migrate.of_mesh("idempotency"))
    conn = await asyncpg.connect(database_url)
    await conn.execute("CREATE TABLE effects (id serial)")
    parts = urlsplit(database_url)
    user, _, address = parts.netloc.rpartition("@")
    async with TcpProxy(address) as proxy:
        url = urlunsplit(parts._replace(netloc=f"{user}@{proxy.address}"))
        async with database.pool(url) as db:
            yield Shop(db=db, conn=conn, proxy=proxy)
    await conn.close()


async def test_a_commit_whose_answer_is_lost_is_not_done_again(
    shop: Shop, eventually: Eventually
) -> None:
    """The caller is told that the outcome is unknown; the same key then finds what was done."""
    buying = asyncio.create_task(shop.buy_and_hear_nothing())
    await eventually(shop.effects)
    shop.proxy.heal()
    with pytest.raises(OutcomeUnknown):
        await buying
    assert (await shop.buy(), await shop.effects()) == (_RESPONSE, 1)


async def test_a_commit_that_was_cancelled_is_not_done_again(
    shop: Shop, eventually: Eventually
) -> None:
    """A call cancelled in its commit has committed; the same key then finds what was done."""
    buying = asyncio.create_task(shop.buy_and_hear_nothing())
    await eventually(shop.effects)
    buying.cancel()
    shop.proxy.heal()
    with pytest.raises(asyncio.CancelledError):
        await buying
    assert (await shop.buy(), await shop.effects()) == (_RESPONSE, 1)


async def test_a_transaction_cancelled_as_it_begins_leaves_nothing_behind(
    shop: Shop, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is clean for the next one, and nobody is alarmed."""
    await shop.db.ready()

    async def has_begun() -> bool:
        return bool(
            await shop.conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
                " AND datname = current_database()"
            )
        )

    shop.proxy.backward.held = True
    buying = asyncio.create_task(shop.buy())
    await eventually(has_begun)
    buying.cancel()
    shop.proxy.heal()
    with pytest.raises(asyncio.CancelledError):
        await buying
    assert (await shop.buy(), await shop.effects()) == (_RESPONSE, 1)
    assert [each.message for each in caplog.records if each.name == "asyncio"] == []


async def test_who_is_cancelled_as_the_connection_is_lost_ends(shop: Shop) -> None:
    """That nothing could be rolled back any more does not keep it from ending."""
    is_inside = asyncio.Event()

    async def wait() -> None:
        async with shop.db.transaction():
            is_inside.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await is_inside.wait()
    waiting.cancel()
    shop.proxy.cut()
    with pytest.raises(asyncio.CancelledError):
        await waiting
