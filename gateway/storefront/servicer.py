"""The RPCs of the storefront. Who may call them stands in the contract."""

from typing import Any

from gateway.storefront.account_page import get_account_page
from gateway.storefront.audit_events import list_audit_events
from gateway.storefront.home import get_home
from gateway.storefront.order_page import get_order_page
from gateway.storefront.product_page import get_product_page
from gateway.storefront.stubs import Stubs
from souk.storefront.v1 import storefront_service_pb2 as pb
from souk.storefront.v1 import storefront_service_pb2_grpc


class StorefrontServicer(storefront_service_pb2_grpc.StorefrontServiceServicer):
    """Serves `souk.storefront.v1.StorefrontService`."""

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    async def GetHome(self, request: pb.GetHomeRequest, context: Any) -> pb.GetHomeResponse:
        """Return the home page."""
        return await get_home(self._stubs, context)

    async def GetProductPage(
        self, request: pb.GetProductPageRequest, context: Any
    ) -> pb.GetProductPageResponse:
        """Return the page of a product."""
        return await get_product_page(self._stubs, request, context)

    async def GetOrderPage(
        self, request: pb.GetOrderPageRequest, context: Any
    ) -> pb.GetOrderPageResponse:
        """Return the page of an order."""
        return await get_order_page(self._stubs, request, context)

    async def GetAccountPage(
        self, request: pb.GetAccountPageRequest, context: Any
    ) -> pb.GetAccountPageResponse:
        """Return the caller's account page."""
        return await get_account_page(self._stubs, context)

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Any
    ) -> pb.ListAuditEventsResponse:
        """Return a page of the audit logs of all services."""
        return await list_audit_events(self._stubs, request, context)
