"""Builds the storefront: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.settings import NAME, GatewaySettings
from gateway.storefront.servicer import StorefrontServicer
from gateway.storefront.stubs import Stubs
from services.mesh.run import App, Mesh, Process
from souk.storefront.v1 import storefront_service_pb2

_DESCRIPTOR = storefront_service_pb2.DESCRIPTOR.services_by_name["StorefrontService"]


@asynccontextmanager
async def build(_settings: GatewaySettings, mesh: Mesh) -> AsyncIterator[App]:
    """Yield the storefront over the channels of the mesh."""
    yield App(servicers={_DESCRIPTOR: StorefrontServicer(Stubs.over(mesh))})


PROCESS: Final = Process(name=NAME, settings=GatewaySettings, build=build)
"""What the gateway runs beside its own HTTP listener."""
