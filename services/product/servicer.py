"""The RPCs of the catalogue. Who may call them stands in the contract."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from services.mesh import field_mask, page_token, paging
from services.mesh.errors import FailedPrecondition, InvalidArgument
from services.mesh.ids import parse_id
from services.product import convert
from services.product.image_store import ImageStore
from services.product.stock_store import StockStore
from services.product.stock_watch import StockWatch
from services.product.store import ProductStore
from souk.product.v1 import product_pb2, product_service_pb2_grpc
from souk.product.v1 import product_service_pb2 as pb

_MOST_FAILURES = 100


class ProductServicer(product_service_pb2_grpc.ProductServiceServicer):
    """Serves `souk.product.v1.ProductService`."""

    def __init__(
        self, *, products: ProductStore, images: ImageStore, stock: StockStore, watch: StockWatch
    ) -> None:
        self._products = products
        self._images = images
        self._stock = stock
        self._watch = watch

    async def GetProduct(
        self, request: pb.GetProductRequest, context: Any
    ) -> pb.GetProductResponse:
        """Return a product, archived or not."""
        product = await self._products.get(parse_id(request.product_id, field="product_id"))
        return pb.GetProductResponse(product=convert.product_to_proto(product))

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Any
    ) -> pb.BatchGetProductsResponse:
        """Return several products in the order asked for."""
        products = await self._products.batch_get(
            [
                parse_id(product_id, field=f"product_ids[{index}]")
                for index, product_id in enumerate(request.product_ids)
            ]
        )
        return pb.BatchGetProductsResponse(
            products=[convert.product_to_proto(product) for product in products]
        )

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Any
    ) -> pb.ListProductsResponse:
        """Return a page of the products that can be bought."""
        bound_to = page_token.binding(request)
        listing = convert.listing_from_proto(request)
        products, end = await self._products.page(
            listing,
            after=convert.cursor_from_token(request.page_token, listing, bound_to=bound_to),
            size=request.page_size or paging.DEFAULT_SIZE,
        )
        return pb.ListProductsResponse(
            products=[convert.product_to_proto(product) for product in products],
            next_page_token=convert.token_from_cursor(end, bound_to=bound_to),
        )

    async def CreateProduct(
        self, request: pb.CreateProductRequest, context: Any
    ) -> pb.CreateProductResponse:
        """Add a product."""
        product = await self._products.create(
            sku=request.product.sku,
            details=convert.details_from_proto(request.product),
            stock=request.product.stock,
        )
        return pb.CreateProductResponse(product=convert.product_to_proto(product))

    async def UpdateProduct(
        self, request: pb.UpdateProductRequest, context: Any
    ) -> pb.UpdateProductResponse:
        """Change the fields that the mask names."""
        fields = field_mask.updated_fields(
            request.update_mask, request.product, updatable=convert.UPDATABLE
        )
        product = await self._products.update(
            parse_id(request.product.product_id, field="product.product_id"),
            expected_etag=request.product.etag,
            change=convert.change_from_proto(request.product, fields),
        )
        return pb.UpdateProductResponse(product=convert.product_to_proto(product))

    async def ArchiveProduct(
        self, request: pb.ArchiveProductRequest, context: Any
    ) -> pb.ArchiveProductResponse:
        """Take a product out of the catalogue."""
        product = await self._products.archive(
            parse_id(request.product_id, field="product_id"), expected_etag=request.etag
        )
        return pb.ArchiveProductResponse(product=convert.product_to_proto(product))

    async def AdjustStock(
        self, request: pb.AdjustStockRequest, context: Any
    ) -> pb.AdjustStockResponse:
        """Add pieces to the stock or take some away."""
        product_id = parse_id(request.product_id, field="product_id")
        await self._stock.adjust(product_id, request.delta)
        product = await self._products.get(product_id)
        return pb.AdjustStockResponse(product=convert.product_to_proto(product))

    async def CreateImageUpload(
        self, request: pb.CreateImageUploadRequest, context: Any
    ) -> pb.CreateImageUploadResponse:
        """Let the caller put a picture of the product where others can see it."""
        product = await self._products.get(parse_id(request.product_id, field="product_id"))
        upload = await self._images.upload(
            product.product_id, content_type=request.content_type, size_bytes=request.size_bytes
        )
        return pb.CreateImageUploadResponse(
            upload_uri=upload.upload_uri,
            headers=upload.headers,
            image_uri=upload.image_uri,
            expire_time=convert.timestamp(upload.expire_time),
        )

    async def WatchStock(
        self, request: pb.WatchStockRequest, context: Any
    ) -> AsyncIterator[pb.WatchStockResponse]:
        """Tell the stock of a product at once, and whenever it changes."""
        product_id = parse_id(request.product_id, field="product_id")
        async with aclosing(self._watch.watch(product_id)) as levels:
            async for level in levels:
                yield pb.WatchStockResponse(
                    product_id=str(level.product_id),
                    stock=level.stock,
                    read_time=convert.timestamp(level.read_time),
                )

    async def ImportProducts(
        self, request_iterator: AsyncIterator[pb.ImportProductsRequest], context: Any
    ) -> pb.ImportProductsResponse:
        """Add products in bulk and change those whose code is known; tell what was refused."""
        response = pb.ImportProductsResponse()
        index = 0
        async for request in request_iterator:
            try:
                if await self._import(request.product):
                    response.created_count += 1
                else:
                    response.updated_count += 1
            except (InvalidArgument, FailedPrecondition) as refusal:
                if len(response.failures) < _MOST_FAILURES:
                    response.failures.add(
                        index=index, sku=request.product.sku, message=refusal.message
                    )
            index += 1
        return response

    async def _import(self, message: product_pb2.Product) -> bool:
        """Add the product or change the one with its code; return whether it is new."""
        return await self._products.put(
            sku=message.sku, details=convert.details_from_proto(message), stock=message.stock
        )
