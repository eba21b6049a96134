"""What was really done: the stock and the money that the tests judge by."""

from collections import Counter, defaultdict
from typing import Any

from services.mesh.errors import FailedPrecondition, NotFound
from services.mesh.ids import new_id
from souk.payment.v1 import payment_pb2, payment_service_pb2
from souk.product.v1 import product_pb2


class OutOfStock(FailedPrecondition):
    """A product has too few pieces."""

    reason = "OUT_OF_STOCK"


class ReservationGone(FailedPrecondition):
    """Nothing is held for the order."""

    reason = "RESERVATION_GONE"


class ProductNotFound(NotFound):
    """There is no such product."""

    reason = "PRODUCT_NOT_FOUND"


class PaymentDeclined(FailedPrecondition):
    """The provider refused."""

    reason = "PAYMENT_DECLINED"


class KeyReused(FailedPrecondition):
    """The key was used for another request."""

    reason = "IDEMPOTENCY_KEY_REUSED"


class StateConflict(FailedPrecondition):
    """The state does not allow it."""

    reason = "STATE_CONFLICT"


class Warehouse:
    """Products and their stock. `held`, `committed`: pieces by order and product."""

    def __init__(self) -> None:
        self.products: dict[str, product_pb2.Product] = {}
        self.held: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.committed: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.released: set[str] = set()
        self.first_product_of: dict[str, str] = {}

    def add(self, *, stock: int = 10, cents: int = 1999, currency: str = "EUR") -> str:
        """Adds a product at `cents` of a currency with two decimal digits; returns its id."""
        product = product_pb2.Product(
            product_id=str(new_id()),
            sku=f"SKU-{len(self.products)}",
            title="A thing",
            stock=stock,
            state=product_pb2.PRODUCT_STATE_ACTIVE,
        )
        product.price.currency_code = currency
        product.price.units, product.price.nanos = cents // 100, cents % 100 * 10_000_000
        self.products[product.product_id] = product
        return product.product_id

    def product(self, product_id: str) -> product_pb2.Product:
        """Returns a product."""
        if product_id not in self.products:
            raise ProductNotFound("no such product", product_id=product_id)
        return self.products[product_id]

    def stock(self, product_id: str) -> tuple[int, int, int]:
        """Returns how many pieces of a product are available, held and committed."""
        return (
            self.products[product_id].stock,
            sum(items.get(product_id, 0) for items in self.held.values()),
            sum(items.get(product_id, 0) for items in self.committed.values()),
        )

    def reserve(self, order_id: str, items: dict[str, int]) -> None:
        """Holds stock for an order, all or nothing."""
        self.first_product_of[order_id] = next(iter(items))
        if order_id in self.released:
            raise ReservationGone("the order was given up")
        if self.held[order_id] or self.committed[order_id]:
            return
        for product_id, quantity in items.items():
            if self.products[product_id].stock < quantity:
                raise OutOfStock("too few", product_id=product_id)
        for product_id, quantity in items.items():
            self.products[product_id].stock -= quantity
        self.held[order_id] = items

    def commit(self, order_id: str) -> None:
        """Makes a reservation final."""
        if self.committed[order_id]:
            return
        if not self.held[order_id]:
            raise ReservationGone("nothing is held")
        self.committed[order_id] = self.held.pop(order_id)

    def release(self, order_id: str) -> None:
        """Puts back what an order has, and refuses it any later."""
        self.released.add(order_id)
        for ledger in (self.held, self.committed):
            for product_id, quantity in ledger.pop(order_id, {}).items():
                self.products[product_id].stock += quantity

    def lapse(self, order_id: str) -> None:
        """Lets the reservation of an order expire."""
        for product_id, quantity in self.held.pop(order_id, {}).items():
            self.products[product_id].stock += quantity


class Till:
    """Payments by order. `takings` counts the money taken, and `returns` the money given back.

    `keeps`: the orders whose money the provider refuses to give back, set aside or taken.
    """

    def __init__(self) -> None:
        self.payments: dict[str, payment_pb2.Payment] = {}
        self.voided: set[str] = set()
        self.takings: Counter[str] = Counter()
        self.returns: Counter[str] = Counter()
        self.keys: dict[str, Any] = {}
        self.keeps: set[str] = set()
        self._done: set[str] = set()

    def state(self, order_id: str) -> str:
        """Returns the name of the state of an order's payment, empty if it has none."""
        payment = self.payments.get(order_id)
        return payment_pb2.PaymentState.Name(payment.state) if payment else ""

    def authorize(self, request: payment_service_pb2.AuthorizeRequest) -> payment_pb2.Payment:
        """Sets money aside."""
        self._note(request)
        if request.order_id in self.voided:
            raise StateConflict("voided", state="PAYMENT_STATE_VOIDED")
        if request.order_id not in self.payments:
            declined = request.payment_token == "tok_declined"
            self.payments[request.order_id] = payment_pb2.Payment(
                payment_id=str(new_id()),
                order_id=request.order_id,
                amount=request.amount,
                state=payment_pb2.PAYMENT_STATE_DECLINED
                if declined
                else payment_pb2.PAYMENT_STATE_AUTHORIZED,
            )
        payment = self.payments[request.order_id]
        if payment.state == payment_pb2.PAYMENT_STATE_DECLINED:
            raise PaymentDeclined("declined", payment_id=payment.payment_id)
        return payment

    def capture(self, request: payment_service_pb2.CaptureRequest) -> payment_pb2.Payment:
        """Takes the money that was set aside."""
        self._note(request)
        payment = self.by_id(request.payment_id)
        if payment.state == payment_pb2.PAYMENT_STATE_AUTHORIZED:
            payment.state = payment_pb2.PAYMENT_STATE_CAPTURED
            self.takings[payment.order_id] += 1
        if payment.state != payment_pb2.PAYMENT_STATE_CAPTURED:
            raise _conflict(payment)
        return payment

    def void(self, request: payment_service_pb2.VoidRequest) -> payment_pb2.Payment | None:
        """Sets money aside no longer."""
        self._note(request)
        self.voided.add(request.order_id)
        payment = self.payments.get(request.order_id)
        if payment is None:
            return None
        if payment.state == payment_pb2.PAYMENT_STATE_CAPTURED:
            raise _conflict(payment)
        if payment.state == payment_pb2.PAYMENT_STATE_AUTHORIZED:
            self._check_kept(payment)
            payment.state = payment_pb2.PAYMENT_STATE_VOIDED
        return payment

    def refund(self, request: payment_service_pb2.RefundRequest) -> payment_pb2.Payment:
        """Gives money back."""
        self._note(request)
        payment = self.by_id(request.payment_id)
        if (
            payment.state != payment_pb2.PAYMENT_STATE_CAPTURED
            and request.request_id not in self._done
        ):
            raise _conflict(payment)
        if payment.state == payment_pb2.PAYMENT_STATE_CAPTURED:
            self._check_kept(payment)
            payment.state = payment_pb2.PAYMENT_STATE_REFUNDED
            self.returns[payment.order_id] += 1
        self._done.add(request.request_id)
        return payment

    def keys_of(self, order_id: str) -> set[str]:
        """Returns the keys under which anything was asked for an order."""
        return {key for key in self.keys if key.startswith(order_id)}

    def refund_by_hand(self, order_id: str) -> None:
        """Gives the money of an order back without being asked by the order service."""
        self.payments[order_id].state = payment_pb2.PAYMENT_STATE_REFUNDED
        self.returns[order_id] += 1

    def by_id(self, payment_id: str) -> payment_pb2.Payment:
        """Returns a payment."""
        return next(each for each in self.payments.values() if each.payment_id == payment_id)

    def _check_kept(self, payment: payment_pb2.Payment) -> None:
        if payment.order_id in self.keeps:
            raise PaymentDeclined("the provider refused", payment_id=payment.payment_id)

    def _note(self, request: Any) -> None:
        """Refuses a key that came with another request before."""
        known = self.keys.setdefault(request.request_id, request)
        if known != request:
            raise KeyReused("the key came with another request")


def _conflict(payment: payment_pb2.Payment) -> StateConflict:
    return StateConflict("conflict", state=payment_pb2.PaymentState.Name(payment.state))
