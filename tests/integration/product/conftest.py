"""The product service's parts over a real database, and the service as the mesh serves it.

The stores' tests run against the embedded server, and against any other MongoDB that
SOUK_TEST_MONGO_URL names.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.mesh import clients, server
from services.mesh.amount import Amount
from services.mesh.ids import new_id
from services.mesh.run import Worker
from services.mesh.settings import Secret
from services.product import app, mongodb
from services.product.domain.product import Details
from services.product.mongodb import Database
from services.product.reservation_store import ReservationStore
from services.product.settings import Settings
from services.product.stock_store import StockStore
from services.product.store import ProductStore
from souk.product.v1 import product_service_pb2_grpc, stock_service_pb2_grpc
from tests.cancellation import end

KEPT = timedelta(hours=1)
_GIVEN = "SOUK_TEST_MONGO_URL"
_SERVERS = ["embedded", "given"] if _GIVEN in os.environ else ["embedded"]
_KEY = Ed25519PrivateKey.generate()


@dataclass(slots=True, kw_only=True)
class Clock:
    """The database's clock, which a test can put forward, and stop."""

    db: Database
    shift: timedelta = timedelta(0)
    stopped_at: datetime | None = None

    async def now(self) -> datetime:
        """Return the database's time and the shift."""
        return (self.stopped_at or await Database.now(self.db)) + self.shift

    async def stop(self) -> None:
        """Let no time pass but by `advance`."""
        self.stopped_at = await Database.now(self.db)

    def advance(self, span: timedelta) -> None:
        """Put the clock forward."""
        self.shift += span


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a test works with."""

    db: Database
    clock: Clock
    products: ProductStore
    stock: StockStore
    reservations: ReservationStore

    async def product(self, *, stock: int = 0, sku: str = "") -> UUID:
        """Add a product and return its id."""
        product = await self.products.create(
            sku=sku or f"sku-{new_id()}", details=details(), stock=stock
        )
        return product.product_id

    async def stock_of(self, product_id: UUID) -> int:
        """Return how many pieces can be bought."""
        return (await self.products.get(product_id)).stock


def details(
    title: str = "Mug", *, description: str = "", minor: int = 1250, tags: tuple[str, ...] = ()
) -> Details:
    """Return what a merchant may say of a product."""
    price = Amount(currency="EUR", minor=minor)
    return Details(title=title, description=description, price=price, tags=tags)


@pytest.fixture(scope="session", params=_SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of a server."""
    given = os.environ[_GIVEN] if request.param == "given" else None
    url: str = given or request.getfixturevalue("mongo_url")
    return url


@pytest.fixture
async def parts(server_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    """Build the stores over an empty database."""
    url = f"{server_url.rstrip('/')}/test_{new_id().hex}"
    async with mongodb.connect(url, operation_timeout=timedelta(seconds=30), name="test") as db:
        await db.migrate()
        clock = Clock(db=db)
        monkeypatch.setattr(db, "now", clock.now)
        stock = StockStore(db, kept=KEPT)
        yield Parts(
            db=db,
            clock=clock,
            products=ProductStore(db),
            stock=stock,
            reservations=ReservationStore(db, stock, kept=KEPT),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service as its callers have it."""

    products: "product_service_pb2_grpc.ProductServiceAsyncStub"
    stock: "stock_service_pb2_grpc.StockServiceAsyncStub"
    merchandiser: tuple[tuple[str, str], ...] = field(
        default_factory=lambda: (("authorization", f"Bearer {_token('merchandiser')}"),)
    )
    order: tuple[tuple[str, str], ...] = (("x-souk-service", "order"),)


@pytest.fixture
async def service(mongo_url: str) -> AsyncIterator[Service]:
    """Serve the product service over an empty database, with short times."""
    settings = Settings(
        listen="127.0.0.1:0",
        tls="off",
        drain_wait=timedelta(0),
        drain_grace=timedelta(seconds=2),
        mongo_url=Secret(f"{mongo_url}test_{new_id().hex}"),
        watch_interval=timedelta(milliseconds=20),
        watch_limit=2,
    )
    async with (
        clients.open_mesh("product", settings) as mesh,
        app.build(settings, mesh) as built,
        _working(built.workers),
        server.serving(replace(built, keys=_keys), mesh) as listening,
        grpc.aio.insecure_channel(listening.address) as channel,
    ):
        yield Service(
            products=product_service_pb2_grpc.ProductServiceStub(channel),
            stock=stock_service_pb2_grpc.StockServiceStub(channel),
        )


@asynccontextmanager
async def _working(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Run the workers until the block is left; a failed one fails the test."""
    tasks = [asyncio.ensure_future(worker()) for worker in workers]
    try:
        yield
    finally:
        await end(tasks)


async def _keys() -> dict[str, bytes]:
    return {"test": _KEY.public_key().public_bytes_raw()}


def _token(*roles: str) -> str:
    now = int(time.time())
    claims = {
        "iss": "https://souk.local",
        "aud": "souk",
        "sub": str(new_id()),
        "roles": list(roles),
        "nbf": now - 1,
        "exp": now + 600,
    }
    return jwt.encode(claims, _KEY, "EdDSA", headers={"typ": "at+jwt", "kid": "test"})
