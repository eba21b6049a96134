"""The server side of `rpc.py`: `python tests/bench/rpc_server.py bare|mesh FOLDER ADDRESS`.

Both serve the same handler over TLS: `bare` is a grpc.aio server and nothing else, `mesh` is a
process of the mesh as any other, with mTLS.
"""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.mesh import event_loop, run
from services.mesh.settings import MeshSettings
from souk.order.v1 import order_pb2, order_service_pb2

SERVICE = order_service_pb2.DESCRIPTOR.services_by_name["OrderService"]
CPU = 0
KEY_ID = "bench"

_ORDER = order_pb2.Order(
    order_id="01a2092a-1501-76b2-ad66-4d9c138617d5",
    user_id="01a2092a-1501-76b2-ad66-4d9c138617d6",
    state=order_pb2.ORDER_STATE_CONFIRMED,
    lines=[order_pb2.OrderLine(sku="MUG-1", title="A mug with a long description", quantity=2)],
    etag="1",
)
_ORDER.total.currency_code, _ORDER.total.units = "EUR", 24


async def get_order(
    _servicer: object, _request: order_service_pb2.GetOrderRequest, _context: object
) -> order_service_pb2.GetOrderResponse:
    """Answer with an order of about 200 bytes."""
    return order_service_pb2.GetOrderResponse(order=_ORDER)


def servicer() -> object:
    """Return a servicer of the whole contract, of which the one RPC is called."""

    async def unary(_self: object, _request: object, _context: object) -> None: ...

    async def stream(_self: object, _request: object, _context: object) -> Any:
        for nothing in ():  # type: ignore[var-annotated]  # a generator of nothing
            yield nothing

    rpcs: dict[str, Any] = {
        method.name: stream if method.server_streaming else unary for method in SERVICE.methods
    }
    return type("Orders", (), {**rpcs, "GetOrder": get_order})()


async def serve_bare(folder: Path, address: str) -> int:
    """Serve the handler and nothing else."""
    instance = grpc.aio.server()

    async def handle(request: order_service_pb2.GetOrderRequest, context: object) -> Any:
        return await get_order(None, request, context)

    handler = grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=order_service_pb2.GetOrderRequest.FromString,
        response_serializer=order_service_pb2.GetOrderResponse.SerializeToString,
    )
    instance.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE.full_name, {"GetOrder": handler}),)
    )
    credentials = grpc.ssl_server_credentials(
        [((folder / "order-key.pem").read_bytes(), (folder / "order.pem").read_bytes())]
    )
    instance.add_secure_port(address, credentials)
    await instance.start()
    await instance.wait_for_termination()
    return 0


def mesh_process(folder: Path) -> run.Process[MeshSettings]:
    """Return the process of a service of the mesh."""

    async def keys() -> Mapping[str, bytes]:
        public = serialization.load_pem_public_key((folder / "token.pem").read_bytes())
        assert isinstance(public, Ed25519PublicKey)
        return {KEY_ID: public.public_bytes_raw()}

    @asynccontextmanager
    async def build(_settings: MeshSettings, _mesh: run.Mesh) -> AsyncIterator[run.App]:
        yield run.App(servicers={SERVICE: servicer()}, keys=keys)

    return run.Process(name="order", settings=MeshSettings, build=build)


def main(kind: str, folder: Path, address: str) -> None:
    """Serve on one core until killed; `mesh` as any service is started."""
    os.sched_setaffinity(0, {CPU})
    if kind == "bare":
        event_loop.run(serve_bare(folder, address))
    os.environ |= {
        "SOUK_LISTEN": address,
        "SOUK_METRICS_LISTEN": "127.0.0.1:0",
        "SOUK_TLS_CA": str(folder / "ca.pem"),
        "SOUK_TLS_CERT": str(folder / "order.pem"),
        "SOUK_TLS_KEY": str(folder / "order-key.pem"),
    }
    run.main(mesh_process(folder), [])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
