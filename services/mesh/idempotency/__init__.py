"""Calls that may be repeated: one effect and one answer per key (AIP-155).

    no row ──claim──▶ begun ──record──▶ answered: a response, or a definitive error
                        │ the lease ends (crash), or `release`
                        └──claim──▶ begun again, by another attempt, on the same resource

A key belongs to one caller and one method. A call that fits in one transaction:

    response = await keys.once(scope, request, CreateAddressResponse, effect)   # effect(conn)

A call in several steps commits the claim with its first step, and the answer with its last:

    async with db.transaction() as conn:
        claim = await keys.claim(conn, scope, request, resource=str(order_id))
        if isinstance(claim, Fresh) and not claim.resumed:
            await orders.insert(conn, order_id, ...)
    match claim:
        case Replay():     return claim.response(CreateOrderResponse)
        case InProgress(): return (await keys.join(scope)).response(CreateOrderResponse)
        case Fresh():      ...             # in `keeping(claim)`, go on with claim.resource; then
                                           # record or, if it may succeed later, release

When somebody else brings the call to its end, as a worker does after a crash, it stores the answer
with `answer`, in the transaction of the last step.

An answer is kept for 72 hours. Every time here is the database's.
"""

from services.mesh.idempotency._claim import (
    Claim,
    Fresh,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InProgress,
    Replay,
    Scope,
    scope,
)
from services.mesh.idempotency._keys import RETENTION, IdempotencyKeys

__all__ = [
    "RETENTION",
    "Claim",
    "Fresh",
    "IdempotencyKeyInUse",
    "IdempotencyKeyReused",
    "IdempotencyKeys",
    "InProgress",
    "Replay",
    "Scope",
    "scope",
]
