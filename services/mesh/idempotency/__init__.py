"""Calls that may be repeated: one effect and one answer per key (AIP-155).

    no row ──claim──▶ begun ──record──▶ answered: a response, or a definitive error
                        │ the lease ends (crash), or `release`
                        └──claim──▶ begun again, by another attempt, on the same resource

A key belongs to one caller and one method. A call that fits in one transaction:

    response = await keys.once(scope, request, CreateAddressResponse, effect)   # effect(conn)

A call in several steps, or one that reaches outside, stores the answer in its last transaction:

    answer = await keys.attempt(scope, request, work, resource=str(new_id()))   # work(claim)
    return answer.response(CreateOrderResponse)

`work` goes on with `claim.resource`, the same in every attempt, and ends with `record`. It is
repeatable by nature: done again after a crash, it finds what the attempt before has done.

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
