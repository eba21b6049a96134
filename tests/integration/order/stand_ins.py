"""Stand-ins for user, product and payment: a real gRPC server over ledgers kept in memory."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from services.mesh.errors import DomainError
from services.mesh.status import DETAILS_KEY, code_number, status_from_error
from souk.mesh.v1 import keys_pb2
from souk.payment.v1 import payment_service_pb2 as payment
from souk.product.v1 import product_service_pb2 as product
from souk.product.v1 import stock_service_pb2 as stock
from souk.user.v1 import user_service_pb2 as user
from tests.integration.order.faults import AFTER, BEFORE, Faults
from tests.integration.order.ledgers import Till, Warehouse

Effect = Callable[[Any], Any]
"""Does what a request asks for and returns the response; raises DomainError. Never waits."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What surrounds the order service."""

    address: str
    warehouse: Warehouse
    till: Till
    faults: Faults


@asynccontextmanager
async def running(keys: Mapping[str, str]) -> AsyncIterator[World]:
    """Serves the stand-ins on a free port. `keys`: public keys of access tokens by their id."""
    warehouse, till, faults = Warehouse(), Till(), Faults()
    server = grpc.aio.server()
    for service, effects in (
        (user.DESCRIPTOR.services_by_name["UserService"], _user(keys)),
        (product.DESCRIPTOR.services_by_name["ProductService"], _product(warehouse)),
        (stock.DESCRIPTOR.services_by_name["StockService"], _stock(warehouse)),
        (payment.DESCRIPTOR.services_by_name["PaymentService"], _payment(till)),
    ):
        handlers = {
            rpc: _handler(service, rpc, effect, _first_product(warehouse, till), faults)
            for rpc, effect in effects.items()
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.full_name, handlers),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield World(address=f"127.0.0.1:{port}", warehouse=warehouse, till=till, faults=faults)
    finally:
        await server.stop(None)


def _user(keys: Mapping[str, str]) -> dict[str, Effect]:
    published = [
        keys_pb2.JsonWebKey(kty="OKP", crv="Ed25519", x=x, kid=kid, alg="EdDSA", use="sig")
        for kid, x in keys.items()
    ]
    return {"GetJwks": lambda _: user.GetJwksResponse(keys=published)}


def _product(warehouse: Warehouse) -> dict[str, Effect]:
    def get(request: product.BatchGetProductsRequest) -> product.BatchGetProductsResponse:
        found = [warehouse.product(product_id) for product_id in request.product_ids]
        return product.BatchGetProductsResponse(products=found)

    return {"BatchGetProducts": get}


def _stock(warehouse: Warehouse) -> dict[str, Effect]:
    def reserve(request: stock.ReserveStockRequest) -> stock.ReserveStockResponse:
        items = {item.product_id: item.quantity for item in request.items}
        warehouse.reserve(request.order_id, items)
        return stock.ReserveStockResponse()

    def commit(request: stock.CommitReservationRequest) -> stock.CommitReservationResponse:
        warehouse.commit(request.order_id)
        return stock.CommitReservationResponse()

    def release(request: stock.ReleaseReservationRequest) -> stock.ReleaseReservationResponse:
        warehouse.release(request.order_id)
        return stock.ReleaseReservationResponse()

    return {"ReserveStock": reserve, "CommitReservation": commit, "ReleaseReservation": release}


def _payment(till: Till) -> dict[str, Effect]:
    return {
        "Authorize": lambda asked: payment.AuthorizeResponse(payment=till.authorize(asked)),
        "Capture": lambda asked: payment.CaptureResponse(payment=till.capture(asked)),
        "Void": lambda asked: payment.VoidResponse(payment=till.void(asked)),
        "Refund": lambda asked: payment.RefundResponse(payment=till.refund(asked)),
    }


def _first_product(warehouse: Warehouse, till: Till) -> Callable[[Any], str]:
    """Gives what tells which product a request is about: the first one of the order."""

    def first(request: Any) -> str:
        if isinstance(request, product.BatchGetProductsRequest):
            return request.product_ids[0]
        if isinstance(request, stock.ReserveStockRequest):
            return request.items[0].product_id
        if isinstance(request, payment.CaptureRequest | payment.RefundRequest):
            return warehouse.first_product_of[till.by_id(request.payment_id).order_id]
        order_id = getattr(request, "order_id", "")
        return warehouse.first_product_of.get(order_id, "")

    return first


def _handler(
    service: ServiceDescriptor,
    rpc: str,
    effect: Effect,
    first_product: Callable[[Any], str],
    faults: Faults,
) -> "grpc.RpcMethodHandler[Any, Any]":
    """Gives the handler of an RPC: its effect, with the faults around it."""

    async def handle(request: Any, context: Any) -> Any:
        await faults.meet(rpc, first_product(request), BEFORE, context)
        try:
            response = effect(request)
        except DomainError as error:
            await _refuse(context, error)
        await faults.meet(rpc, first_product(request), AFTER, context)
        return response

    method = service.methods_by_name[rpc]
    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


async def _refuse(context: Any, error: DomainError) -> NoReturn:
    details = status_from_error(error, "stand-in").SerializeToString()
    code = _CODES[code_number(error.code)]
    await context.abort(code, error.message, trailing_metadata=((DETAILS_KEY, details),))
    raise AssertionError
