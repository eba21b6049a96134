"""Builds the product service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.mesh.run import App, Mesh, Process
from services.product import image_store, mongodb
from services.product.mongodb import Database
from services.product.reservation_store import ReservationStore
from services.product.servicer import ProductServicer
from services.product.settings import Settings
from services.product.stock_servicer import StockServicer
from services.product.stock_store import StockStore
from services.product.stock_watch import StockWatch
from services.product.store import ProductStore
from services.product.worker import Sweeper
from souk.product.v1 import product_service_pb2, stock_service_pb2

_PRODUCT_SERVICE = product_service_pb2.DESCRIPTOR.services_by_name["ProductService"]
_STOCK_SERVICE = stock_service_pb2.DESCRIPTOR.services_by_name["StockService"]


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Open the database, see to its indexes, and yield the service."""
    async with (
        _database(settings, mesh.name) as db,
        image_store.opened(
            bucket=settings.image_bucket,
            region=settings.image_region,
            base_uri=settings.image_base_uri,
            life=settings.image_upload_life,
        ) as images,
    ):
        await _see_to_indexes(db)
        stock = StockStore(db, kept=settings.reservation_kept)
        reservations = ReservationStore(db, stock, kept=settings.reservation_kept)
        watch = StockWatch(
            stock.levels, interval=settings.watch_interval, limit=settings.watch_limit
        )

        yield App(
            servicers={
                _PRODUCT_SERVICE: ProductServicer(
                    products=ProductStore(db), images=images, stock=stock, watch=watch
                ),
                _STOCK_SERVICE: StockServicer(reservations=reservations),
            },
            workers=[Sweeper(stock, interval=settings.sweep_interval).run, watch.run],
            checks={"mongodb": db.ready},
        )


async def _migrate(settings: Settings) -> None:
    async with _database(settings, PROCESS.name) as db:
        await _see_to_indexes(db)


async def _see_to_indexes(db: Database) -> None:
    # Whether there is a database is known sooner than they are built.
    await db.ready()
    await db.migrate()


def _database(settings: Settings, name: str) -> AbstractAsyncContextManager[Database]:
    return mongodb.connect(settings.mongo_url, operation_timeout=settings.mongo_timeout, name=name)


PROCESS = Process(name="product", settings=Settings, build=build, migrate=_migrate)
