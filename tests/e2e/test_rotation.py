"""Certificates, authority, signing key and passwords are exchanged while people buy."""

import shutil
from pathlib import Path

import asyncpg
import grpc.aio
import pytest

from services.local import credentials, databases, topology
from services.mesh import clients
from services.mesh.settings import MeshSettings
from souk.product.v1 import product_service_pb2, product_service_pb2_grpc
from tests.e2e import rotation_load, rotations
from tests.e2e.conftest import Mesh

pytestmark = pytest.mark.timeout(600)


async def test_nothing_fails_when_everything_is_exchanged(mesh: Mesh, tmp_path: Path) -> None:
    """No call fails, whatever is exchanged meanwhile; and what was exchanged is good no more."""
    services = topology.services_with("postgres")
    former_urls = databases.urls(mesh.endpoints.postgres, mesh.folder, services)
    shutil.copytree(mesh.endpoints.certs_folder, tmp_path / "certs")
    former_kid = (mesh.folder.signing_keys / "current").read_text()

    async with rotation_load.calling(
        mesh.folder, mesh.endpoints, mesh.accounts["customer"]
    ) as load:
        await load.more(3)
        await rotations.all_at_once(load)
        await load.more(5)

    assert [] == load.failures
    assert (mesh.folder.signing_keys / "current").read_text() != former_kid
    for url in former_urls.values():
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(url)
    assert await _code_with(tmp_path / "certs", mesh) == grpc.StatusCode.UNAVAILABLE
    assert credentials.find(mesh.folder, "database/order/turn") in {"a", "b"}


async def _code_with(certs: Path, mesh: Mesh) -> grpc.StatusCode:
    """Return how a call ends that is made with these certificates."""
    settings = MeshSettings(
        tls_ca=certs / "ca.pem",
        tls_cert=certs / "developer.pem",
        tls_key=certs / "developer-key.pem",
        targets=mesh.endpoints.grpc,
    )
    async with clients.open_mesh("developer", settings) as opened:
        stub = product_service_pb2_grpc.ProductServiceStub(opened.channel("product"))
        try:
            await stub.ListProducts(product_service_pb2.ListProductsRequest(), timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK
