"""Every kind of caller of the access matrix, and what a policy says to each.

    identity   whose certificate is shown: a service of the mesh, none, or another authority's
    person     whose access token comes along: nobody's, a customer's, a role's, or an impostor's

Straight at a service a caller is both; through the gateway it is a person alone.
"""

from dataclasses import dataclass

import grpc

from services.user.domain import Role
from souk.mesh.v1.policy_pb2 import Access, Policy
from tests.contract.shop import IDENTITIES

EDGE = ("gateway", "developer")
"""The identities that face people and may bring their tokens."""

PERSONS = ("nobody", "customer", *(str(role) for role in Role))
IMPOSTORS = ("expired", "forged", "garbage", "two tokens")
"""Who shows a token that nobody may pass with."""

POSING = "posing as order"
"""Nobody, who says in metadata to be the service that may call most."""

STRANGERS = ("no certificate", "another authority")
"""Who has no certificate of the mesh's own."""

OUTSIDERS = (*PERSONS, *IMPOSTORS, POSING)
"""The callers of the gateway."""

REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)

_FOR_PEOPLE = (Access.ACCESS_USER, Access.ACCESS_ROLE)


@dataclass(frozen=True, slots=True)
class Caller:
    """One kind of caller of a service."""

    identity: str
    person: str

    def __str__(self) -> str:
        """Name it as the matrix does."""
        return f"{self.identity}, {self.person}"


CALLERS = (
    *(Caller(identity, person) for identity in EDGE for person in OUTSIDERS),
    *(
        Caller(identity, person)
        for identity in IDENTITIES
        if identity not in EDGE
        for person in ("nobody", str(Role.ADMIN))
    ),
    *(Caller(stranger, str(Role.ADMIN)) for stranger in STRANGERS),
)
"""The callers of a service."""


def refusal(policy: Policy, caller: Caller) -> grpc.StatusCode | None:
    """Return the code that a service refuses the caller with, None if it is admitted."""
    identity, person = caller.identity, caller.person
    is_internal = policy.access == Access.ACCESS_INTERNAL
    if identity in STRANGERS:
        # There is no connection at all.
        return grpc.StatusCode.UNAVAILABLE
    if not is_internal and (refused := _bad_token(policy, person)):
        return refused
    if identity not in policy.callers and (is_internal or identity not in EDGE):
        return grpc.StatusCode.PERMISSION_DENIED
    is_own_behalf = person in {"nobody", POSING} and identity in policy.callers
    return None if is_internal or is_own_behalf else _refused_person(policy, person)


def refusal_outside(policy: Policy, person: str) -> grpc.StatusCode | None:
    """Return the code that the gateway refuses the person with, None if it passes the call on."""
    if policy.access == Access.ACCESS_INTERNAL:
        # Outside there is no such method.
        return grpc.StatusCode.NOT_FOUND
    return _bad_token(policy, person) or _refused_person(policy, person)


def _bad_token(policy: Policy, person: str) -> grpc.StatusCode | None:
    """Return the code for a token that is none; where everybody may call it counts as none."""
    is_bad = person == "two tokens" or (person in IMPOSTORS and policy.access in _FOR_PEOPLE)
    return grpc.StatusCode.UNAUTHENTICATED if is_bad else None


def _refused_person(policy: Policy, person: str) -> grpc.StatusCode | None:
    if policy.access not in _FOR_PEOPLE:
        return None
    if person in {"nobody", POSING}:
        return grpc.StatusCode.UNAUTHENTICATED
    if policy.access == Access.ACCESS_ROLE and person not in policy.roles:
        return grpc.StatusCode.PERMISSION_DENIED
    return None
