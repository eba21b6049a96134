"""The product service as its callers have it: behind the mesh, over the embedded database."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.money_pb2 import Money

from services.mesh.errors import RemoteError
from services.mesh.ids import new_id
from services.mesh.status import error_from_call
from souk.product.v1 import product_pb2, stock_service_pb2
from souk.product.v1 import product_service_pb2 as pb

from .conftest import Service

NOBODY = str(new_id())


def product(sku: str = "MUG-1", *, stock: int = 0, **fields: Any) -> product_pb2.Product:
    """Return a product as a merchant sends it."""
    price = fields.pop("price", Money(currency_code="EUR", units=12, nanos=500_000_000))
    return product_pb2.Product(sku=sku, title="Mug", price=price, stock=stock, **fields)


async def create(service: Service, sent: product_pb2.Product) -> product_pb2.Product:
    """Create a product and return it."""
    answer = await service.products.CreateProduct(
        pb.CreateProductRequest(product=sent), metadata=service.merchandiser
    )
    return answer.product


async def update(service: Service, sent: product_pb2.Product, *paths: str) -> product_pb2.Product:
    """Update a product and return it."""
    request = pb.UpdateProductRequest(product=sent, update_mask=FieldMask(paths=paths))
    return (await service.products.UpdateProduct(request, metadata=service.merchandiser)).product


async def refusal(call: Any) -> RemoteError:
    """Return the error that the call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return error_from_call(raised.value)


async def test_a_product_is_created_read_changed_and_archived(service: Service):
    """The life of a product, as the catalogue shows it."""
    created = await create(service, product(stock=3, tags=["coffee"]))
    sent = product_pb2.Product(product_id=created.product_id, title="Cup", etag=created.etag)
    changed = await update(service, sent)
    archived = await service.products.ArchiveProduct(
        pb.ArchiveProductRequest(product_id=created.product_id), metadata=service.merchandiser
    )
    read = await service.products.GetProduct(pb.GetProductRequest(product_id=created.product_id))
    listed = await service.products.ListProducts(pb.ListProductsRequest())

    assert (created.stock, created.state) == (3, product_pb2.PRODUCT_STATE_ACTIVE)
    assert (changed.title, list(changed.tags), changed.sku) == ("Cup", ["coffee"], "MUG-1")
    assert read.product == archived.product
    assert read.product.state == product_pb2.PRODUCT_STATE_ARCHIVED
    assert list(listed.products) == []


async def test_what_is_refused_and_why(service: Service):
    """Each error has the contract's code and reason, and names the field or the product."""
    created = await create(service, product())
    sent = product_pb2.Product(product_id=created.product_id, title="Cup")
    stale = product_pb2.Product(product_id=created.product_id, title="Cup", etag='"old"')
    other_sku = product_pb2.Product(product_id=created.product_id, title="Cup", sku="OTHER")
    price = Money(currency_code="EUR", nanos=5_000_000)
    nobody = pb.BatchGetProductsRequest(product_ids=[created.product_id, NOBODY])
    less = pb.AdjustStockRequest(product_id=created.product_id, delta=-1)

    errors = [
        await refusal(create(service, product())),
        await refusal(update(service, stale)),
        await refusal(update(service, sent, "sku")),
        await refusal(update(service, sent, "stock")),
        await refusal(update(service, other_sku)),
        await refusal(update(service, sent, "title", "price")),
        await refusal(create(service, product("MUG-2", price=price))),
        await refusal(service.products.BatchGetProducts(nobody)),
        await refusal(service.products.AdjustStock(less, metadata=service.merchandiser)),
        await refusal(service.products.ListProducts(pb.ListProductsRequest(filter="x"))),
    ]

    assert [
        (each.code, each.reason, [violation.field for violation in each.violations])
        for each in errors
    ] == [
        ("ALREADY_EXISTS", "SKU_TAKEN", []),
        ("ABORTED", "ETAG_MISMATCH", []),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["update_mask"]),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["update_mask"]),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["product.sku"]),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["product.price"]),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["product.price.nanos"]),
        ("NOT_FOUND", "PRODUCT_NOT_FOUND", []),
        ("FAILED_PRECONDITION", "STOCK_OUT_OF_RANGE", []),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["filter"]),
    ]
    assert errors[7].metadata == {"product_id": NOBODY}


async def test_an_order_reserves_commits_and_releases(service: Service):
    """The stock that customers see follows the order; a second order is told what is short."""
    created = await create(service, product(stock=2))
    ids, order_id = [created.product_id], str(new_id())
    reserve = stock_service_pb2.ReserveStockRequest(
        order_id=order_id,
        items=[stock_service_pb2.StockItem(product_id=created.product_id, quantity=2)],
        time_to_live=Duration(seconds=60),
    )
    late = stock_service_pb2.ReserveStockRequest()
    late.CopyFrom(reserve)
    late.order_id = str(new_id())

    first = await service.stock.ReserveStock(reserve, metadata=service.order)
    again = await service.stock.ReserveStock(reserve, metadata=service.order)
    short = await refusal(service.stock.ReserveStock(late, metadata=service.order))
    await service.stock.CommitReservation(
        stock_service_pb2.CommitReservationRequest(order_id=order_id, product_ids=ids),
        metadata=service.order,
    )
    during = await service.products.GetProduct(pb.GetProductRequest(product_id=ids[0]))
    await service.stock.ReleaseReservation(
        stock_service_pb2.ReleaseReservationRequest(order_id=order_id, product_ids=ids),
        metadata=service.order,
    )
    after = await service.products.GetProduct(pb.GetProductRequest(product_id=ids[0]))
    gone = await refusal(service.stock.ReserveStock(reserve, metadata=service.order))

    assert again == first
    assert (short.code, short.reason, short.metadata) == (
        "FAILED_PRECONDITION",
        "OUT_OF_STOCK",
        {"product_id": ids[0]},
    )
    assert (during.product.stock, after.product.stock) == (0, 2)
    assert (gone.code, gone.reason) == ("FAILED_PRECONDITION", "RESERVATION_GONE")


async def test_an_import_adds_changes_and_tells_the_rest(service: Service):
    """What can't be taken is told by its place and code, and the rest is taken."""
    await create(service, product("KNOWN", stock=5))
    archived = await create(service, product("GONE"))
    await service.products.ArchiveProduct(
        pb.ArchiveProductRequest(product_id=archived.product_id), metadata=service.merchandiser
    )

    answer = await service.products.ImportProducts(
        _requests(
            product("NEW", stock=9),
            product("BAD", price=Money(currency_code="XXX", units=1)),
            product("KNOWN", stock=9, description="changed"),
            product("GONE"),
            product("LAST"),
        ),
        metadata=service.merchandiser,
    )
    listed = await service.products.ListProducts(pb.ListProductsRequest(order_by="stock desc"))

    assert (answer.created_count, answer.updated_count) == (2, 1)
    assert [(each.index, each.sku) for each in answer.failures] == [(1, "BAD"), (3, "GONE")]
    assert answer.failures[0].message == (
        "product.price.currency_code must be a known ISO 4217 code"
    )
    assert [(each.sku, each.stock, each.description) for each in listed.products] == [
        ("NEW", 9, ""),
        ("KNOWN", 5, "changed"),
        ("LAST", 0, ""),
    ]


async def test_an_import_tells_of_a_hundred_failures(service: Service):
    """However many are refused, no more than a hundred are told of."""
    bad = [product(f"S{n}", price=Money(currency_code="XXX", units=1)) for n in range(103)]

    answer = await service.products.ImportProducts(
        _requests(*bad, product("GOOD")), metadata=service.merchandiser
    )

    assert (len(answer.failures), answer.created_count) == (100, 1)


async def test_an_import_against_the_contract_ends_the_call(service: Service):
    """A message that breaks the contract's rules ends the stream; those before it are taken."""
    call = service.products.ImportProducts(
        _requests(product("GOOD"), product("not a sku"), product("LATER")),
        metadata=service.merchandiser,
    )

    error = await refusal(call)
    listed = await service.products.ListProducts(pb.ListProductsRequest())

    assert (error.code, [each.field for each in error.violations]) == (
        "INVALID_ARGUMENT",
        ["product.sku"],
    )
    assert [each.sku for each in listed.products] == ["GOOD"]


async def test_stock_is_watched(service: Service):
    """A watcher is told the stock at once and after each change, by every watcher alike."""
    created = await create(service, product(stock=2))
    request = pb.WatchStockRequest(product_id=created.product_id)
    watchers = [service.products.WatchStock(request) for _ in range(2)]

    told = [[await _stock(watcher)] for watcher in watchers]
    for delta in (1, -3):
        await service.products.AdjustStock(
            pb.AdjustStockRequest(product_id=created.product_id, delta=delta),
            metadata=service.merchandiser,
        )
        for seen, watcher in zip(told, watchers, strict=True):
            seen.append(await _stock(watcher))
    for watcher in watchers:
        watcher.cancel()

    assert told == [[2, 3, 0], [2, 3, 0]]


async def test_watchers_are_bounded(service: Service):
    """One more than may watch is refused; once another has left, it may."""
    created = await create(service, product(stock=2))
    request = pb.WatchStockRequest(product_id=created.product_id)
    first, second = (service.products.WatchStock(request) for _ in range(2))
    await first.read()
    await second.read()

    refused = await refusal(service.products.WatchStock(request).read())
    first.cancel()
    async with asyncio.timeout(60):
        stock = await _stock_once_allowed(service, request)

    assert (refused.code, stock) == ("RESOURCE_EXHAUSTED", 2)
    second.cancel()


async def test_nobody_watches_what_does_not_exist(service: Service):
    """The stream ends with the contract's error."""
    request = pb.WatchStockRequest(product_id=NOBODY)

    error = await refusal(service.products.WatchStock(request).read())

    assert (error.code, error.reason) == ("NOT_FOUND", "PRODUCT_NOT_FOUND")


async def _stock(watcher: Any) -> int:
    """Return the stock that a watcher is told next."""
    async with asyncio.timeout(60):
        level = await watcher.read()
    assert isinstance(level, pb.WatchStockResponse)
    return level.stock


async def _stock_once_allowed(service: Service, request: pb.WatchStockRequest) -> int:
    """Return the stock that a new watcher is told, as soon as there may be one more."""
    while True:
        watcher = service.products.WatchStock(request)
        with suppress(grpc.aio.AioRpcError):
            stock = await _stock(watcher)
            watcher.cancel()
            return stock


def _requests(*products: product_pb2.Product) -> Iterator[pb.ImportProductsRequest]:
    return (pb.ImportProductsRequest(product=each) for each in products)
