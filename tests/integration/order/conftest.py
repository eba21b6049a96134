"""The order service as the mesh serves it, over a real database, with stand-ins around it.

All tests of a file share one; each takes products and people of its own.
"""

import asyncio
import base64
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.any_pb2 import Any as AnyMessage

from services.local import ports
from services.mesh import migrate, run, status
from services.mesh.errors import RemoteError
from services.mesh.ids import new_id
from services.mesh.settings import Secret
from services.order import app
from services.order.settings import Settings
from souk.order.v1 import order_pb2, order_service_pb2, order_service_pb2_grpc
from tests.conftest import MakeDatabase
from tests.integration.order import stand_ins
from tests.integration.order.stand_ins import World

Stub: TypeAlias = "order_service_pb2_grpc.OrderServiceAsyncStub"

OK = "tok_ok"
DECLINED = "tok_declined"

_BUSY = (grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED)
CROWDED = (*_BUSY, grpc.StatusCode.UNAVAILABLE)
"""What a caller among many may be told before it gets its answer."""

_KEY = Ed25519PrivateKey.generate()
_PUBLIC = base64.urlsafe_b64encode(_KEY.public_key().public_bytes_raw()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who calls; `metadata` goes with every call."""

    user_id: str
    metadata: tuple[tuple[str, str], ...]


def person(*roles: str) -> Person:
    """Returns somebody new."""
    now, user_id = int(time.time()), str(new_id())
    claims = {
        "iss": "https://souk.local",
        "aud": "souk",
        "sub": user_id,
        "roles": list(roles),
        "nbf": now - 1,
        "exp": now + 600,
    }
    token = jwt.encode(claims, _KEY, "EdDSA", headers={"typ": "at+jwt", "kid": "test"})
    metadata = (("authorization", f"Bearer {token}"), ("x-souk-service", "gateway"))
    return Person(user_id=user_id, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The order service and what surrounds it."""

    world: World
    conn: "asyncpg.Connection[asyncpg.Record]"
    stub: Stub

    async def place(
        self,
        request: order_service_pb2.CreateOrderRequest,
        who: Person,
        *,
        seconds: float = 8,
        despite: Collection[grpc.StatusCode] = _BUSY,
    ) -> order_pb2.Order:
        """Calls CreateOrder and returns the order; raises AioRpcError.

        After one with a code of `despite` it repeats the call, as clients do.
        """
        while True:
            try:
                response = await self.stub.CreateOrder(
                    request, metadata=who.metadata, timeout=seconds
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in despite:
                    raise
                await asyncio.sleep(0.1)
            else:
                return response.order

    async def orders_about(self, product_id: str) -> list[str]:
        """Returns the orders about a product."""
        query = "SELECT order_id FROM order_lines WHERE product_id = $1"
        return [str(row["order_id"]) for row in await self.conn.fetch(query, UUID(product_id))]

    async def order_about(self, product_id: str) -> str:
        """Returns the order about a product; fails if there is none, or several."""
        (order_id,) = await self.orders_about(product_id)
        return order_id

    async def row(self, order_id: str) -> asyncpg.Record:
        """Returns an order's row."""
        row = await self.conn.fetchrow("SELECT * FROM orders WHERE order_id = $1", UUID(order_id))
        assert row is not None
        return row

    async def state(self, order_id: str) -> str:
        """Returns an order's state from its row."""
        return str((await self.row(order_id))["state"])

    async def is_in(self, order_id: str, *states: str) -> bool:
        """Tells whether an order is in one of the states."""
        return await self.state(order_id) in states

    async def path(self, order_id: str) -> list[str]:
        """Returns the states of an order from its history."""
        return [row["to_state"] for row in await self._history(order_id)]

    async def actors(self, order_id: str) -> list[str]:
        """Returns who took the steps of an order, from its history."""
        return [row["actor"] for row in await self._history(order_id)]

    async def last_event(self, order_id: str) -> bytes:
        """Returns the payload of the last event of an order."""
        query = "SELECT payload FROM outbox WHERE aggregate_id = $1 ORDER BY sequence DESC LIMIT 1"
        packed = AnyMessage.FromString(await self.conn.fetchval(query, order_id))
        return bytes(packed.value)

    async def is_answered(self, order_id: str) -> bool:
        """Tells whether the call that placed an order has its answer stored."""
        query = "SELECT response IS NOT NULL OR error IS NOT NULL FROM idempotency_keys"
        return bool(await self.conn.fetchval(f"{query} WHERE resource = $1", order_id))

    async def _history(self, order_id: str) -> list[asyncpg.Record]:
        query = "SELECT * FROM order_history WHERE order_id = $1 ORDER BY sequence"
        return await self.conn.fetch(query, UUID(order_id))


async def refusal(call: Awaitable[Any]) -> RemoteError:
    """Returns the error that a call is answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return status.error_from_call(raised.value)


def create_order(
    *product_ids: str, quantity: int = 1, token: str = OK, key: str = ""
) -> order_service_pb2.CreateOrderRequest:
    """Returns a request for some pieces of each product, under a new key unless given one."""
    return order_service_pb2.CreateOrderRequest(
        request_id=key or str(new_id()),
        items=[
            order_pb2.OrderItem(product_id=product_id, quantity=quantity)
            for product_id in product_ids
        ],
        payment_token=token,
    )


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """Serves user, product and payment."""
    async with stand_ins.running({"test": _PUBLIC}) as around:
        yield around


@pytest.fixture(scope="module")
async def settings(world: World, make_database: MakeDatabase, redis_url: str) -> Settings:
    """Migrates an empty database, and gives settings with short times."""
    database_url = await make_database()
    await migrate.run(
        database_url, package="services.order", mesh=("audit", "outbox", "idempotency")
    )
    return Settings(
        tls="off",
        targets=dict.fromkeys(("user", "product", "payment"), world.address),
        drain_wait=timedelta(0),
        drain_grace=timedelta(seconds=2),
        database_url=Secret(database_url),
        redis_url=Secret(redis_url),
        answer_margin=timedelta(seconds=1),
        lease=timedelta(minutes=5),
        retry_most=timedelta(milliseconds=200),
        poll=timedelta(milliseconds=200),
    )


@pytest.fixture(scope="module")
async def conn(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connects to the order service's database."""
    connection = await asyncpg.connect(settings.database_url.reveal())
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def shop(
    world: World, settings: Settings, conn: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[Shop]:
    """Serves order with all its workers."""
    async with serving(settings) as stub:
        yield Shop(world=world, conn=conn, stub=stub)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Stub]:
    """Serves order with its workers until the block is left."""
    address = ports.address(*ports.free())
    async with (
        run.serving(app.PROCESS, dataclasses.replace(settings, listen=address)),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield order_service_pb2_grpc.OrderServiceStub(channel)
