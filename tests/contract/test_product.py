"""Every RPC of the product service answers, and every error that its contract tells of is given.

Its process has two gRPC services: the catalogue, and the stock that only orders may reserve.
"""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.product.v1 import product_pb2
from souk.product.v1 import product_service_pb2 as pb
from souk.product.v1 import stock_service_pb2 as stock_pb
from souk.product.v1.product_service_pb2_grpc import ProductServiceStub
from souk.product.v1.stock_service_pb2_grpc import StockServiceStub
from tests.contract.conftest import ChannelAs
from tests.contract.shop import Shop
from tests.contract.tables import (
    Desk,
    Entry,
    check_is_answered,
    check_is_complete,
    check_is_refused,
    first,
)

STOCK = 10


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the product service."""
    return "product"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[ProductServiceStub]:
    """Calls it by its generated stub."""
    return ProductServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: ProductServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def coffee(**fields: Any) -> product_pb2.Product:
    """Return a product that can be created."""
    defaults: dict[str, Any] = {
        "sku": f"coffee-{new_id()}",
        "title": "Coffee",
        "price": Money(currency_code="EUR", units=12, nanos=500_000_000),
        "stock": STOCK,
    }
    return product_pb2.Product(**{**defaults, **fields})


def create(desk: Desk, **fields: Any) -> product_pb2.Product:
    """Add a product."""
    request = pb.CreateProductRequest(product=coffee(**fields))
    response: pb.CreateProductResponse = merchandise(desk, "CreateProduct", request)
    return response.product


def merchandise(desk: Desk, rpc: str, request: Any) -> Any:
    """Call as one who manages the catalogue."""
    return desk.call(rpc, request, desk.person(Role.MERCHANDISER))


def update(desk: Desk, **changes: str) -> pb.UpdateProductResponse:
    """Change a new product."""
    product = product_pb2.Product(product_id=create(desk).product_id, **changes)  # type: ignore[arg-type]  # texts
    response: pb.UpdateProductResponse = merchandise(
        desk, "UpdateProduct", pb.UpdateProductRequest(product=product)
    )
    return response


def adjust_stock(desk: Desk, delta: int) -> pb.AdjustStockResponse:
    """Change the stock of a new product."""
    request = pb.AdjustStockRequest(product_id=create(desk).product_id, delta=delta)
    response: pb.AdjustStockResponse = merchandise(desk, "AdjustStock", request)
    return response


def archive(desk: Desk) -> product_pb2.Product:
    """Take a new product out of the catalogue."""
    request = pb.ArchiveProductRequest(product_id=create(desk).product_id)
    response: pb.ArchiveProductResponse = merchandise(desk, "ArchiveProduct", request)
    return response.product


def create_image_upload(desk: Desk) -> pb.CreateImageUploadResponse:
    """Ask where a picture of a new product is to be put."""
    request = pb.CreateImageUploadRequest(
        product_id=create(desk).product_id, content_type="image/png", size_bytes=68
    )
    response: pb.CreateImageUploadResponse = merchandise(desk, "CreateImageUpload", request)
    return response


def import_two(desk: Desk) -> pb.ImportProductsResponse:
    """Add two products in bulk."""
    requests = iter([pb.ImportProductsRequest(product=coffee()) for _ in range(2)])
    response: pb.ImportProductsResponse = merchandise(desk, "ImportProducts", requests)
    return response


def reserve(
    desk: Desk, product: product_pb2.Product, quantity: int = 1
) -> stock_pb.ReserveStockRequest:
    """Hold pieces of a product for an order that has just begun, and return what was asked."""
    request = stock_pb.ReserveStockRequest(
        order_id=str(new_id()),
        items=[stock_pb.StockItem(product_id=product.product_id, quantity=quantity)],
        time_to_live=Duration(seconds=60),
    )
    orders(desk).call("ReserveStock", request)
    return request


def orders(desk: Desk) -> Desk:
    """Return the desk of the order service."""
    return desk.as_service("order", StockServiceStub)


def commit(desk: Desk) -> stock_pb.CommitReservationResponse:
    """Make a reservation final."""
    product = create(desk)
    request = stock_pb.CommitReservationRequest(
        order_id=reserve(desk, product).order_id, product_ids=[product.product_id]
    )
    response: stock_pb.CommitReservationResponse = orders(desk).call("CommitReservation", request)
    return response


def release(desk: Desk) -> stock_pb.ReleaseReservationRequest:
    """Put reserved pieces back, and return what was asked."""
    product = create(desk)
    request = stock_pb.ReleaseReservationRequest(
        order_id=reserve(desk, product).order_id, product_ids=[product.product_id]
    )
    orders(desk).call("ReleaseReservation", request)
    return request


def commit_what_was_released(desk: Desk) -> None:
    """Make a reservation final after its end."""
    released = release(desk)
    request = stock_pb.CommitReservationRequest(
        order_id=released.order_id, product_ids=released.product_ids
    )
    orders(desk).call("CommitReservation", request)


ANSWERS: dict[str, Entry] = {
    "GetProduct": lambda desk: desk.call(
        "GetProduct", pb.GetProductRequest(product_id=create(desk).product_id)
    ),
    "BatchGetProducts": lambda desk: desk.call(
        "BatchGetProducts",
        pb.BatchGetProductsRequest(product_ids=[create(desk).product_id, archive(desk).product_id]),
    ),
    "ListProducts": lambda desk: desk.call("ListProducts", pb.ListProductsRequest()),
    "CreateProduct": create,
    "UpdateProduct": lambda desk: update(desk, title="Strong coffee"),
    "ArchiveProduct": archive,
    "AdjustStock": lambda desk: adjust_stock(desk, -STOCK),
    "CreateImageUpload": create_image_upload,
    "WatchStock": lambda desk: first(
        desk.call("WatchStock", pb.WatchStockRequest(product_id=create(desk).product_id))
    ),
    "ImportProducts": import_two,
    "ReserveStock": lambda desk: reserve(desk, create(desk), STOCK),
    "CommitReservation": commit,
    "ReleaseReservation": release,
}

ERRORS: dict[str, Entry] = {
    "PRODUCT_NOT_FOUND": lambda desk: desk.call(
        "GetProduct", pb.GetProductRequest(product_id=str(new_id()))
    ),
    "SKU_TAKEN": lambda desk: create(desk, sku=create(desk).sku),
    "ETAG_MISMATCH": lambda desk: update(desk, title="Strong coffee", etag="stale"),
    "OUT_OF_STOCK": lambda desk: reserve(desk, create(desk), STOCK + 1),
    "PRODUCT_ARCHIVED": lambda desk: reserve(desk, archive(desk)),
    "STOCK_OUT_OF_RANGE": lambda desk: adjust_stock(desk, -STOCK - 1),
    "RESERVATION_GONE": commit_what_was_released,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_rpc_answers(desk: Desk, name: str):
    """The RPC is there and does what it is for."""
    check_is_answered(desk, ANSWERS[name])


@pytest.mark.parametrize("reason", ERRORS)
def test_an_error_is_given_as_the_contract_tells(desk: Desk, process: str, reason: str):
    """The reason comes with its code."""
    check_is_refused(desk, ERRORS[reason], process=process, reason=reason)


def test_nothing_is_left_out(process: str):
    """Every RPC and every reason of the contract is tested."""
    # This shop keeps pictures; tests/integration/product/test_images.py has one that does not.
    check_is_complete(process, answers=ANSWERS, errors=ERRORS, elsewhere=["IMAGES_NOT_KEPT"])
