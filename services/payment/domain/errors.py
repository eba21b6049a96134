"""What can be wrong with a call of the payment service."""

from services.mesh.errors import FailedPrecondition, NotFound, Unauthenticated, Unavailable


class PaymentNotFound(NotFound):
    """There is no such payment, or it is another's."""

    reason = "PAYMENT_NOT_FOUND"


class PaymentDeclined(FailedPrecondition):
    """The provider refused."""

    reason = "PAYMENT_DECLINED"


class ProviderUnavailable(Unavailable):
    """The provider has not answered; what became of the operation is not known yet."""

    reason = "PROVIDER_UNAVAILABLE"


class StateConflict(FailedPrecondition):
    """The payment's state does not allow it."""

    reason = "STATE_CONFLICT"


class RefundTooLarge(FailedPrecondition):
    """More than was taken cannot be given back."""

    reason = "REFUND_TOO_LARGE"


class SignatureInvalid(Unauthenticated):
    """The message is not from the provider, or it is too old to be believed."""

    reason = "SIGNATURE_INVALID"
