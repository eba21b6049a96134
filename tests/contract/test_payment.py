"""Every RPC of the payment service answers, and every error that its contract tells of is given.

Behind it is the real sandbox provider, whose tokens say how it behaves.
"""

import hashlib
import hmac
import time
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from services.mesh.ids import new_id
from services.user.domain import Role
from souk.payment.v1 import payment_pb2
from souk.payment.v1 import payment_service_pb2 as pb
from souk.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from tests.contract.conftest import ChannelAs
from tests.contract.shop import PROVIDER_WEBHOOK_SECRET, Shop
from tests.contract.tables import (
    Desk,
    Entry,
    check_is_answered,
    check_is_complete,
    check_is_refused,
)

PRICE = Money(currency_code="EUR", units=25)


@pytest.fixture(scope="module")
def process() -> str:
    """Tests the payment service."""
    return "payment"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentServiceStub]:
    """Calls it by its generated stub."""
    return PaymentServiceStub


@pytest.fixture(scope="module")
def desk(shop: Shop, grpc_stub: PaymentServiceStub, channel_as: ChannelAs) -> Desk:
    """Gives the desk to call from."""
    return Desk(shop=shop, stub=grpc_stub, channel_as=channel_as)


def orders(desk: Desk) -> Desk:
    """Return the desk of the order service."""
    return desk.as_service("order", PaymentServiceStub)


def authorization(**fields: Any) -> pb.AuthorizeRequest:
    """Return a request to set the money for a new order aside."""
    defaults: dict[str, Any] = {
        "request_id": str(new_id()),
        "order_id": str(new_id()),
        "user_id": str(new_id()),
        "amount": PRICE,
        "payment_token": "tok_ok",
    }
    return pb.AuthorizeRequest(**{**defaults, **fields})


def authorize(desk: Desk, **fields: Any) -> payment_pb2.Payment:
    """Set money aside."""
    response: pb.AuthorizeResponse = orders(desk).call("Authorize", authorization(**fields))
    return response.payment


def capture(desk: Desk, payment: payment_pb2.Payment) -> payment_pb2.Payment:
    """Take the money."""
    request = pb.CaptureRequest(request_id=str(new_id()), payment_id=payment.payment_id)
    response: pb.CaptureResponse = orders(desk).call("Capture", request)
    return response.payment


def void(desk: Desk) -> payment_pb2.Payment:
    """Set money aside no longer."""
    request = pb.VoidRequest(request_id=str(new_id()), order_id=authorize(desk).order_id)
    response: pb.VoidResponse = orders(desk).call("Void", request)
    return response.payment


def refund(desk: Desk, amount: Money | None = None) -> payment_pb2.Payment:
    """Give money back, as the staff does."""
    payment = capture(desk, authorize(desk))
    request = pb.RefundRequest(
        request_id=str(new_id()), payment_id=payment.payment_id, amount=amount
    )
    response: pb.RefundResponse = desk.call("Refund", request, desk.person(Role.SUPPORT))
    return response.payment


def get(desk: Desk) -> pb.GetPaymentResponse:
    """Look at one's own payment."""
    payment = authorize(desk)
    owner = desk.person(user_id=UUID(payment.user_id))
    response: pb.GetPaymentResponse = desk.call(
        "GetPayment", pb.GetPaymentRequest(payment_id=payment.payment_id), owner
    )
    return response


def list_payments(desk: Desk) -> pb.ListPaymentsResponse:
    """Look at the payments of one's own order."""
    payment = authorize(desk)
    owner = desk.person(user_id=UUID(payment.user_id))
    response: pb.ListPaymentsResponse = desk.call(
        "ListPayments", pb.ListPaymentsRequest(order_id=payment.order_id), owner
    )
    return response


def tell(desk: Desk, secret: str = PROVIDER_WEBHOOK_SECRET) -> pb.HandleProviderEventResponse:
    """Pass a message on that the provider has signed with `secret`."""
    event_id, payment_id, seconds = str(new_id()), authorize(desk).payment_id, int(time.time())
    signed = f"{event_id}.{payment_id}.{seconds}".encode()
    request = pb.HandleProviderEventRequest(
        event_id=event_id,
        payment_id=payment_id,
        send_time=Timestamp(seconds=seconds),
        signature=hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(),
    )
    response: pb.HandleProviderEventResponse = desk.call("HandleProviderEvent", request)
    return response


def reconcile(desk: Desk) -> pb.ReconcilePaymentsResponse:
    """Compare the books, as an administrator may at any time."""
    response: pb.ReconcilePaymentsResponse = desk.call(
        "ReconcilePayments", pb.ReconcilePaymentsRequest(), desk.person(Role.ADMIN)
    )
    return response


def list_discrepancies(desk: Desk) -> pb.ListDiscrepanciesResponse:
    """Look at what the reconciliation has found."""
    response: pb.ListDiscrepanciesResponse = desk.call(
        "ListDiscrepancies",
        pb.ListDiscrepanciesRequest(show_resolved=True),
        desk.person(Role.SUPPORT),
    )
    return response


def reuse_a_key(desk: Desk) -> None:
    """Pay for two orders with one key."""
    for _ in range(2):
        authorize(desk, request_id="my payment")


def repeat_a_call_at_work(desk: Desk) -> None:
    """Make the same call twice at a time, to a provider that is silent until both have failed.

    The second to arrive is told that the first one is at work; which that is does not matter.
    """
    request = authorization(payment_token="tok_hang")
    stub = orders(desk).stub
    calls = [stub.Authorize.future(request, timeout=10) for _ in range(2)]
    errors = [call.exception() for call in calls]
    raise min(errors, key=lambda error: error.code() is not grpc.StatusCode.ABORTED)


ANSWERS: dict[str, Entry] = {
    "Authorize": authorize,
    "Capture": lambda desk: capture(desk, authorize(desk)),
    "Void": void,
    "Refund": refund,
    "GetPayment": get,
    "ListPayments": list_payments,
    "HandleProviderEvent": tell,
    "ReconcilePayments": reconcile,
    "ListDiscrepancies": list_discrepancies,
    "ListAuditEvents": lambda desk: desk.call(
        "ListAuditEvents", pb.ListAuditEventsRequest(), desk.person(Role.ADMIN)
    ),
}

ERRORS: dict[str, Entry] = {
    "PAYMENT_NOT_FOUND": lambda desk: desk.call(
        "GetPayment",
        pb.GetPaymentRequest(payment_id=authorize(desk).payment_id),
        desk.person(),
    ),
    "PAYMENT_DECLINED": lambda desk: authorize(desk, payment_token="tok_declined"),
    "PROVIDER_UNAVAILABLE": lambda desk: authorize(desk, payment_token="tok_hang"),
    "STATE_CONFLICT": lambda desk: capture(desk, void(desk)),
    "REFUND_TOO_LARGE": lambda desk: refund(desk, Money(currency_code="EUR", units=26)),
    "IDEMPOTENCY_KEY_REUSED": reuse_a_key,
    "IDEMPOTENCY_KEY_IN_USE": repeat_a_call_at_work,
    "SIGNATURE_INVALID": lambda desk: tell(desk, secret="not the provider's"),
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
    check_is_complete(process, answers=ANSWERS, errors=ERRORS)
