"""The account page."""

from typing import Any

from gateway.storefront.page import Page
from gateway.storefront.stubs import Stubs
from services.mesh import identity
from souk.notification.v1 import notification_service_pb2
from souk.order.v1 import order_service_pb2
from souk.storefront.v1 import storefront_service_pb2 as pb
from souk.user.v1 import user_service_pb2

_ADDRESSES = 20
_LAST = 10


async def get_account_page(stubs: Stubs, context: Any) -> pb.GetAccountPageResponse:
    """Return the caller with what is theirs."""
    async with Page(context) as page:
        user = page.essential(
            stubs.user.GetUser(user_service_pb2.GetUserRequest(), metadata=page.metadata)
        )
        addresses = page.part(
            pb.PART_ADDRESSES,
            stubs.user.ListAddresses(
                user_service_pb2.ListAddressesRequest(page_size=_ADDRESSES),
                metadata=page.metadata,
            ),
            empty=user_service_pb2.ListAddressesResponse(),
        )
        orders = page.part(
            pb.PART_ORDERS,
            # The id is said, because to the staff an empty one means everybody's orders.
            stubs.order.ListOrders(
                order_service_pb2.ListOrdersRequest(
                    page_size=_LAST, user_id=identity.caller().subject or ""
                ),
                metadata=page.metadata,
            ),
            empty=order_service_pb2.ListOrdersResponse(),
        )
        notifications = page.part(
            pb.PART_NOTIFICATIONS,
            stubs.notification.ListNotifications(
                notification_service_pb2.ListNotificationsRequest(page_size=_LAST),
                metadata=page.metadata,
            ),
            empty=notification_service_pb2.ListNotificationsResponse(),
        )
        preferences = page.part(
            pb.PART_PREFERENCES,
            stubs.notification.GetPreferences(
                notification_service_pb2.GetPreferencesRequest(), metadata=page.metadata
            ),
            empty=notification_service_pb2.GetPreferencesResponse(),
        )
    return pb.GetAccountPageResponse(
        user=user.result().user,
        addresses=addresses.result().addresses,
        orders=orders.result().orders,
        notifications=notifications.result().notifications,
        preferences=preferences.result().preferences,
        missing=page.missing,
    )
