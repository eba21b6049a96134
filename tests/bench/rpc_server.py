"""The server side of `rpc.py`: `python tests/bench/rpc_server.py bare|mesh FOLDER`.

Both serve the same handler over TLS on a free port, printed to standard error: `bare` is a
grpc.aio server and nothing else, `mesh` is the whole runtime behind mTLS.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.mesh import clients, logs, run, server, traces
from services.mesh.app import App
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


async def serve_bare(folder: Path) -> int:
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
    port = instance.add_secure_port("127.0.0.1:0", credentials)
    await instance.start()
    _tell(f"127.0.0.1:{port}")
    await instance.wait_for_termination()
    return 0


async def serve_mesh(folder: Path) -> int:
    """Serve the handler as every service of the mesh is served."""
    settings = MeshSettings(
        listen="127.0.0.1:0",
        tls_ca=folder / "ca.pem",
        tls_cert=folder / "order.pem",
        tls_key=folder / "order-key.pem",
        drain_wait=timedelta(0),
    )
    logs.configure("order", settings)
    public = serialization.load_pem_public_key((folder / "token.pem").read_bytes())
    assert isinstance(public, Ed25519PublicKey)

    async def keys() -> Mapping[str, bytes]:
        return {KEY_ID: public.public_bytes_raw()}

    app = App(servicers={SERVICE: servicer()}, keys=keys)
    with traces.recording("order", settings):
        async with clients.open_mesh("order", settings) as mesh, server.serving(app, mesh) as at:
            _tell(at.address)
            await asyncio.Event().wait()
    return 0


def _tell(address: str) -> None:
    sys.stderr.write(f"{address}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CPU})
    kind, path = sys.argv[1:]
    run.run({"bare": serve_bare, "mesh": serve_mesh}[kind](Path(path)))
