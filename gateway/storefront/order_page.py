"""The page of an order."""

import asyncio
from typing import Any

from gateway.storefront.page import Page
from gateway.storefront.stubs import Stubs
from souk.notification.v1 import notification_service_pb2
from souk.order.v1 import order_service_pb2
from souk.payment.v1 import payment_service_pb2
from souk.product.v1 import product_service_pb2
from souk.storefront.v1 import storefront_service_pb2 as pb

_MOST = 100


async def get_order_page(
    stubs: Stubs, request: pb.GetOrderPageRequest, context: Any
) -> pb.GetOrderPageResponse:
    """Return the order with all that belongs to it. NOT_FOUND as the order is."""
    order_id = request.order_id
    async with Page(context) as page:
        order = page.essential(
            stubs.order.GetOrder(
                order_service_pb2.GetOrderRequest(order_id=order_id), metadata=page.metadata
            )
        )
        events = page.part(
            pb.PART_EVENTS,
            stubs.order.ListOrderEvents(
                order_service_pb2.ListOrderEventsRequest(order_id=order_id, page_size=_MOST),
                metadata=page.metadata,
            ),
            empty=order_service_pb2.ListOrderEventsResponse(),
        )
        payments = page.part(
            pb.PART_PAYMENTS,
            stubs.payment.ListPayments(
                payment_service_pb2.ListPaymentsRequest(order_id=order_id, page_size=_MOST),
                metadata=page.metadata,
            ),
            empty=payment_service_pb2.ListPaymentsResponse(),
        )
        notifications = page.part(
            pb.PART_NOTIFICATIONS,
            stubs.notification.ListNotifications(
                notification_service_pb2.ListNotificationsRequest(
                    order_id=order_id, page_size=_MOST
                ),
                metadata=page.metadata,
            ),
            empty=notification_service_pb2.ListNotificationsResponse(),
        )
        products = page.part(
            pb.PART_PRODUCTS,
            _products(stubs, page, order),
            empty=product_service_pb2.BatchGetProductsResponse(),
        )
    return pb.GetOrderPageResponse(
        order=order.result().order,
        events=events.result().events,
        payments=payments.result().payments,
        products=products.result().products,
        notifications=notifications.result().notifications,
        missing=page.missing,
    )


async def _products(
    stubs: Stubs, page: Page, order: "asyncio.Task[order_service_pb2.GetOrderResponse]"
) -> product_service_pb2.BatchGetProductsResponse:
    # Shielded: running out of time here must not end the call that the page stands on.
    lines = (await asyncio.shield(order)).order.lines
    wanted = product_service_pb2.BatchGetProductsRequest(
        product_ids=[line.product_id for line in lines]
    )
    return await stubs.product.BatchGetProducts(wanted, metadata=page.metadata)
