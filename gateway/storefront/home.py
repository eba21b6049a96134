"""The home page."""

from typing import Any

from gateway.storefront.page import Page
from gateway.storefront.stubs import Stubs
from souk.product.v1 import product_service_pb2
from souk.storefront.v1 import storefront_service_pb2 as pb

_NEW_PRODUCTS = 12
_ALMOST_GONE = 6
_FEW_PIECES = 10


async def get_home(stubs: Stubs, context: Any) -> pb.GetHomeResponse:
    """Return the newest products, and what is almost gone."""
    nothing = product_service_pb2.ListProductsResponse()
    newest = product_service_pb2.ListProductsRequest(page_size=_NEW_PRODUCTS)
    scarce = product_service_pb2.ListProductsRequest(
        page_size=_ALMOST_GONE, filter=f"stock>0 AND stock<={_FEW_PIECES}", order_by="stock"
    )
    async with Page(context) as page:
        new = page.part(
            pb.PART_NEW_PRODUCTS,
            stubs.product.ListProducts(newest, metadata=page.metadata),
            empty=nothing,
        )
        almost_gone = page.part(
            pb.PART_ALMOST_GONE,
            stubs.product.ListProducts(scarce, metadata=page.metadata),
            empty=nothing,
        )
    return pb.GetHomeResponse(
        new_products=new.result().products,
        almost_gone=almost_gone.result().products,
        missing=page.missing,
    )
