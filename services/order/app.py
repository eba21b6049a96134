"""Builds the order service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.mesh import database, migrate, redis_client
from services.mesh.audit import AuditLog
from services.mesh.idempotency import IdempotencyKeys
from services.mesh.migrate import MigrationSettings
from services.mesh.relay import Relay
from services.mesh.run import App, Mesh, Process
from services.mesh.wake_ups import WakeUps
from services.order.clients import Catalogue, Payments, Stock
from services.order.servicer import SERVICE, OrderServicer
from services.order.settings import Settings
from services.order.store import (
    EventStore,
    FigureStore,
    LeaseStore,
    OrderChanges,
    OrderStore,
)
from services.order.worker import SagaWatch, SagaWorker
from services.order.workflow import Answers, Checkout, Saga

STREAM = "souk:events:order"


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Open the database and Redis, and yield the service."""
    async with (
        database.pool(settings.database_url, name=mesh.name) as db,
        redis_client.opened(settings.redis_url, name=mesh.name) as redis,
    ):
        wake_ups = WakeUps(db)
        orders = OrderStore(db, pay_within=settings.pay_within, wake=wake_ups.send)
        keys = IdempotencyKeys(db)
        leases = LeaseStore(
            db, duration=settings.lease, settled=Answers(keys).store, wake=wake_ups.send
        )
        changes = OrderChanges(db, orders, poll=settings.poll)
        saga = Saga(
            leases=leases,
            stock=Stock(mesh.channel("product"), hold=settings.hold_stock),
            payments=Payments(mesh.channel("payment")),
            retry_most=settings.retry_most,
        )
        checkout = Checkout(
            db=db,
            keys=keys,
            orders=orders,
            leases=leases,
            changes=changes,
            catalogue=Catalogue(mesh.channel("product")),
            saga=saga,
            answer_margin=settings.answer_margin,
        )
        worker = SagaWorker(
            leases=leases,
            changes=changes,
            saga=saga,
            concurrency=settings.saga_concurrency,
            poll=settings.poll,
        )
        watch = SagaWatch(
            FigureStore(db), stuck_after=settings.stuck_after, interval=settings.watch_interval
        )
        relay = Relay(db, redis, stream=STREAM)
        servicer = OrderServicer(
            audit_log=AuditLog(db),
            checkout=checkout,
            orders=orders,
            changes=changes,
            events=EventStore(db),
        )
        yield App(
            servicers={SERVICE: servicer},
            workers=[changes.run, wake_ups.run, worker.run, watch.run, keys.run, relay.run],
            checks={"postgresql": db.ready},
        )


async def _migrate(settings: Settings | MigrationSettings) -> None:
    await migrate.run(
        settings.database_url.reveal(),
        package="services.order",
        mesh=("audit", "outbox", "idempotency"),
    )


PROCESS = Process(
    name="order",
    settings=Settings,
    build=build,
    migrate=_migrate,
    migration_settings=MigrationSettings,
)
