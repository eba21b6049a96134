"""The page of a product."""

import asyncio
from typing import Any

from gateway.storefront.page import Page
from gateway.storefront.stubs import Stubs
from souk.product.v1 import product_pb2, product_service_pb2
from souk.storefront.v1 import storefront_service_pb2 as pb

_RELATED_PRODUCTS = 6


async def get_product_page(
    stubs: Stubs, request: pb.GetProductPageRequest, context: Any
) -> pb.GetProductPageResponse:
    """Return the product and others that share its first tag. NOT_FOUND as the product is."""
    asked_for = product_service_pb2.GetProductRequest(product_id=request.product_id)
    async with Page(context) as page:
        product = page.essential(stubs.product.GetProduct(asked_for, metadata=page.metadata))
        related = page.part(pb.PART_RELATED_PRODUCTS, _related(stubs, page, product), empty=[])
    return pb.GetProductPageResponse(
        product=product.result().product,
        related_products=related.result(),
        missing=page.missing,
    )


async def _related(
    stubs: Stubs, page: Page, product: "asyncio.Task[product_service_pb2.GetProductResponse]"
) -> list[product_pb2.Product]:
    # Shielded: running out of time here must not end the call that the page stands on.
    shown = (await asyncio.shield(product)).product
    if not shown.tags:
        return []
    like_it = product_service_pb2.ListProductsRequest(
        # One more than shown, since the product itself is among them.
        page_size=_RELATED_PRODUCTS + 1,
        filter=f"tags:{shown.tags[0]}",
    )
    found = await stubs.product.ListProducts(like_it, metadata=page.metadata)
    others = [other for other in found.products if other.product_id != shown.product_id]
    return others[:_RELATED_PRODUCTS]
