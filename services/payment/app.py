"""Builds the payment service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp

from services.mesh import database, migrate
from services.mesh.audit import AuditLog
from services.mesh.idempotency import IdempotencyKeys
from services.mesh.migrate import MigrationSettings
from services.mesh.run import App, Mesh, Process
from services.payment.clients import Orders
from services.payment.repeatable import Repeatable
from services.payment.sandbox_provider import SandboxProvider
from services.payment.servicer import SERVICE, PaymentServicer
from services.payment.settings import Settings
from services.payment.store import DiscrepancyStore, PaymentStore, RecordStore, UnansweredStore
from services.payment.worker import Reconciler, Resolver
from services.payment.workflow import Payments, Reconciliation

# The RPCs have four seconds (proto/souk/payment/v1/payment_service.proto).
_JOIN = timedelta(seconds=3)


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Opens the database and the way to the provider, and yields the service."""
    async with (
        database.pool(settings.database_url, name=mesh.name) as db,
        aiohttp.ClientSession(settings.provider_url) as session,
    ):
        store = PaymentStore(db, resolve_after=settings.resolve_after)
        unanswered = UnansweredStore(
            db, resolve_after=settings.resolve_after, patience=settings.give_up_after
        )
        provider = SandboxProvider(
            session,
            api_key=settings.provider_api_key,
            timeout=settings.provider_timeout,
            lookup_timeout=settings.provider_lookup_timeout,
        )
        payments = Payments(store=store, provider=provider)
        keys = IdempotencyKeys(db, wait=_JOIN)
        discrepancies = DiscrepancyStore(db)
        reconciliation = Reconciliation(
            discrepancies=discrepancies,
            records=RecordStore(db),
            payments=payments,
            provider=provider,
            orders=Orders(mesh.channel("order")),
            grace=settings.reconcile_grace,
            patience=settings.give_up_after,
        )
        resolver = Resolver(
            unanswered=unanswered, payments=payments, interval=settings.resolve_interval
        )
        reconciler = Reconciler(
            discrepancies=discrepancies,
            reconciliation=reconciliation,
            every=settings.reconcile_every,
            poll=settings.reconcile_poll,
        )
        servicer = PaymentServicer(
            audit_log=AuditLog(db),
            payments=payments,
            store=store,
            reconciliation=reconciliation,
            discrepancies=discrepancies,
            repeatable=Repeatable(db, keys),
            webhook_secret=settings.provider_webhook_secret,
        )
        yield App(
            servicers={SERVICE: servicer},
            workers=[resolver.run, reconciler.run, keys.run],
            checks={"postgresql": db.ready},
        )


async def _migrate(settings: Settings | MigrationSettings) -> None:
    await migrate.run(
        settings.database_url.reveal(), package="services.payment", mesh=("audit", "idempotency")
    )


PROCESS = Process(
    name="payment",
    settings=Settings,
    build=build,
    migrate=_migrate,
    migration_settings=MigrationSettings,
)
