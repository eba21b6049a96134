"""Builds the loyalty service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.loyalty.servicer import LoyaltyServicer
from services.loyalty.settings import Settings
from services.loyalty.store import PointStore
from services.mesh import database, migrate
from services.mesh.migrate import MigrationSettings
from services.mesh.run import App, Mesh, Process
from souk.loyalty.v1 import loyalty_service_pb2 as pb


@asynccontextmanager
async def build(settings: Settings, mesh: Mesh) -> AsyncIterator[App]:
    """Opens the database, and yields the service."""
    async with database.pool(settings.database_url, name=mesh.name) as db:
        yield App(
            servicers={
                pb.DESCRIPTOR.services_by_name["LoyaltyService"]: LoyaltyServicer(PointStore(db))
            },
            checks={"postgresql": db.ready},
        )


async def _migrate(settings: Settings | MigrationSettings) -> None:
    await migrate.run(settings.database_url.reveal(), package="services.loyalty")


PROCESS = Process(
    name="loyalty",
    settings=Settings,
    build=build,
    migrate=_migrate,
    migration_settings=MigrationSettings,
)
