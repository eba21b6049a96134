"""The RPCs of the payment service. Who may call them stands in the contract."""

from typing import Any
from uuid import UUID

from services.mesh import ownership, page_token, paging, policy
from services.mesh.audit import AuditLog
from services.mesh.ids import parse_id
from services.mesh.money import amount_from_money
from services.mesh.settings import Secret
from services.payment import convert, signature
from services.payment.repeatable import Repeatable
from services.payment.store import DiscrepancyStore, PaymentStore
from services.payment.workflow import Payments, Reconciliation
from souk.payment.v1 import payment_service_pb2 as pb
from souk.payment.v1 import payment_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]

_METHODS = {method.name: method for method in policy.methods([SERVICE])}


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Serves `souk.payment.v1.PaymentService`."""

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        payments: Payments,
        store: PaymentStore,
        repeatable: Repeatable,
        reconciliation: Reconciliation,
        discrepancies: DiscrepancyStore,
        webhook_secret: Secret,
    ) -> None:
        self._audit_log = audit_log
        self._payments = payments
        self._store = store
        self._repeatable = repeatable
        self._reconciliation = reconciliation
        self._discrepancies = discrepancies
        self._webhook_secret = webhook_secret

    async def Authorize(self, request: pb.AuthorizeRequest, context: Any) -> pb.AuthorizeResponse:
        """Set the money for an order aside."""

        async def authorize(_: str) -> pb.AuthorizeResponse:
            payment = await self._payments.authorize(
                order_id=parse_id(request.order_id, field="order_id"),
                user_id=parse_id(request.user_id, field="user_id"),
                amount=amount_from_money(request.amount, field="amount"),
                payment_token=request.payment_token,
            )
            return pb.AuthorizeResponse(payment=convert.payment_to_proto(payment))

        return await self._repeatable.call(
            _METHODS["Authorize"].path,
            request,
            pb.AuthorizeResponse,
            authorize,
            key=request.request_id,
        )

    async def Capture(self, request: pb.CaptureRequest, context: Any) -> pb.CaptureResponse:
        """Take the money that was set aside."""

        async def capture(_: str) -> pb.CaptureResponse:
            payment_id = parse_id(request.payment_id, field="payment_id")
            payment = await self._payments.capture(payment_id)
            return pb.CaptureResponse(payment=convert.payment_to_proto(payment))

        return await self._repeatable.call(
            _METHODS["Capture"].path, request, pb.CaptureResponse, capture, key=request.request_id
        )

    async def Void(self, request: pb.VoidRequest, context: Any) -> pb.VoidResponse:
        """No longer set the money for an order aside."""

        async def void(_: str) -> pb.VoidResponse:
            payment = await self._payments.void(parse_id(request.order_id, field="order_id"))
            return pb.VoidResponse(
                payment=None if payment is None else convert.payment_to_proto(payment)
            )

        return await self._repeatable.call(
            _METHODS["Void"].path, request, pb.VoidResponse, void, key=request.request_id
        )

    async def Refund(self, request: pb.RefundRequest, context: Any) -> pb.RefundResponse:
        """Give money back."""

        async def refund(refund_id: str) -> pb.RefundResponse:
            given = request.HasField("amount")
            payment = await self._payments.refund(
                parse_id(request.payment_id, field="payment_id"),
                refund_id,
                amount_from_money(request.amount, field="amount") if given else None,
            )
            return pb.RefundResponse(payment=convert.payment_to_proto(payment))

        return await self._repeatable.call(
            _METHODS["Refund"].path,
            request,
            pb.RefundResponse,
            refund,
            key=request.request_id,
            audited=f"payments/{request.payment_id}",
        )

    async def GetPayment(
        self, request: pb.GetPaymentRequest, context: Any
    ) -> pb.GetPaymentResponse:
        """Return a payment."""
        payment_id = parse_id(request.payment_id, field="payment_id")
        payment = await self._store.get(
            payment_id, visible_to=ownership.visible_to(_METHODS["GetPayment"])
        )
        return pb.GetPaymentResponse(payment=convert.payment_to_proto(payment))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Any
    ) -> pb.ListPaymentsResponse:
        """Return the payments of an order, of which there is one at most: always one page."""
        if request.page_token:
            page_token.decode(request.page_token, bound_to=page_token.binding(request))
        order_id = parse_id(request.order_id, field="order_id")
        payment = await self._store.of_order(
            order_id, visible_to=ownership.visible_to(_METHODS["ListPayments"])
        )
        found = [] if payment is None else [convert.payment_to_proto(payment)]
        return pb.ListPaymentsResponse(payments=found)

    async def HandleProviderEvent(
        self, request: pb.HandleProviderEventRequest, context: Any
    ) -> pb.HandleProviderEventResponse:
        """Ask the provider what became of a payment, as its message suggests.

        Repeating it changes nothing, with the same event id or another.
        """
        event = signature.ProviderEvent(
            event_id=request.event_id,
            payment_id=request.payment_id,
            send_seconds=request.send_time.seconds,
            signature=request.signature,
        )
        signature.verify(event, secret=self._webhook_secret, now=await self._store.now())
        await self._payments.resolve(parse_id(request.payment_id, field="payment_id"))
        return pb.HandleProviderEventResponse()

    async def ReconcilePayments(
        self, request: pb.ReconcilePaymentsRequest, context: Any
    ) -> pb.ReconcilePaymentsResponse:
        """Compare the payments with the provider's ledger and the orders, and repair them."""
        summary = await self._reconciliation.run()
        await self._audit_log.done()
        return pb.ReconcilePaymentsResponse(
            operation_count=summary.operations,
            discrepancy_count=summary.found,
            repaired_count=summary.repaired,
            open_count=summary.open,
        )

    async def ListDiscrepancies(
        self, request: pb.ListDiscrepanciesRequest, context: Any
    ) -> pb.ListDiscrepanciesResponse:
        """Return a page of what reconciliations have found, the newest first."""
        page = paging.read(request, cursor=UUID)
        found = await self._discrepancies.page(
            before=page.cursor, size=page.limit, show_resolved=request.show_resolved
        )
        return pb.ListDiscrepanciesResponse(
            discrepancies=[convert.discrepancy_to_proto(each) for each in page.kept(found)],
            next_page_token=page.next_token(found, lambda each: each.discrepancy_id),
        )

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Any
    ) -> pb.ListAuditEventsResponse:
        """Return a page of the audit log."""
        return await self._audit_log.page(request, pb.ListAuditEventsResponse)
