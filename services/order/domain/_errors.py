"""What can be wrong with an order; the reasons stand in the contract's `ErrorReason`."""

from services.mesh.errors import FailedPrecondition, NotFound


class OrderNotFound(NotFound):
    """There is no such order, or it is another's."""

    reason = "ORDER_NOT_FOUND"


class ProductUnavailable(FailedPrecondition):
    """A product does not exist or is archived."""

    reason = "PRODUCT_UNAVAILABLE"


class MixedCurrencies(FailedPrecondition):
    """The products are priced in different currencies."""

    reason = "MIXED_CURRENCIES"


class TotalTooLarge(FailedPrecondition):
    """The sum of the order is too large to be charged."""

    reason = "TOTAL_TOO_LARGE"


class OutOfStock(FailedPrecondition):
    """A product has too few pieces; the order was rejected."""

    reason = "OUT_OF_STOCK"


class PaymentDeclined(FailedPrecondition):
    """The payment was declined; the order was rejected."""

    reason = "PAYMENT_DECLINED"


class ReservationExpired(FailedPrecondition):
    """The stock was not held until the payment was through; the order was rejected."""

    reason = "RESERVATION_EXPIRED"


class StateConflict(FailedPrecondition):
    """The order's state does not allow it."""

    reason = "STATE_CONFLICT"
