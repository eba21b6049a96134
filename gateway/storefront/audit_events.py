"""The audit logs of all services, read as one.

Every service is asked for as many events as the page has, those before the last one of the page
before; the newest of all that come are the page. Ids are UUIDs of version 7, so their order is the
order of time, as far as the services' clocks agree.
"""

from itertools import chain
from typing import Any
from uuid import UUID

from gateway.storefront.page import Page
from gateway.storefront.stubs import Stubs
from services.mesh import paging
from souk.mesh.v1.audit_pb2 import AuditFilter
from souk.notification.v1 import notification_service_pb2
from souk.order.v1 import order_service_pb2
from souk.payment.v1 import payment_service_pb2
from souk.storefront.v1 import storefront_service_pb2 as pb
from souk.user.v1 import user_service_pb2


async def list_audit_events(
    stubs: Stubs, request: pb.ListAuditEventsRequest, context: Any
) -> pb.ListAuditEventsResponse:
    """Return the page; a service that can't answer ends the call with its status.

    Raises InvalidArgument naming `page_token`.
    """
    asked = paging.read(request, cursor=UUID)
    events = AuditFilter()
    events.CopyFrom(request.filter)
    before = asked.cursor or UUID(int=(1 << 128) - 1)
    if not events.before_audit_event_id or before < UUID(events.before_audit_event_id):
        events.before_audit_event_id = str(before)
    async with Page(context) as page:
        logs = [
            page.essential(log(kind(page_size=asked.size, filter=events), metadata=page.metadata))
            for log, kind in _logs(stubs)
        ]
    found = sorted(
        chain.from_iterable(log.result().audit_events for log in logs),
        key=lambda event: event.audit_event_id,
        reverse=True,
    )
    kept = asked.kept(found)
    is_last = len(found) == len(kept) and not any(log.result().next_page_token for log in logs)
    return pb.ListAuditEventsResponse(
        audit_events=kept,
        next_page_token="" if is_last else asked.token_after(kept[-1].audit_event_id),
    )


def _logs(stubs: Stubs) -> tuple[tuple[Any, Any], ...]:
    """Return the RPC of each log with its request; they are of one form, but not of one type."""
    return (
        (stubs.user.ListAuditEvents, user_service_pb2.ListAuditEventsRequest),
        (stubs.order.ListAuditEvents, order_service_pb2.ListAuditEventsRequest),
        (stubs.payment.ListAuditEvents, payment_service_pb2.ListAuditEventsRequest),
        (stubs.notification.ListAuditEvents, notification_service_pb2.ListAuditEventsRequest),
    )
