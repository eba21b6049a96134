"""Decides who may make which call, by the `souk.mesh.v1.policy` of its method.

Services decide again, on what they alone know; what is refused here does not reach them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.terms import Admission, Terms
from services.mesh import policy
from services.mesh.policy import ContractError
from souk.mesh.v1.policy_pb2 import Access

FOR_PEOPLE: Final = frozenset({Access.ACCESS_USER, Access.ACCESS_ROLE})
"""Who calls must be signed in."""

Admitting = Callable[[policy.Method], Admission]
"""Makes what admits callers to a method."""


def read_policies(descriptors: Descriptors, bound: Collection[str]) -> Mapping[str, policy.Method]:
    """Reads the policy of every method of the bound services, by its path.

    Raises Faults for a method without a sound policy, and for an internal one.
    """
    services = [descriptors.pool.FindServiceByName(name) for name in sorted(bound)]
    try:
        return {method.path: method for method in policy.methods(services)}
    except ContractError as error:
        methods = (method for service in services for method in service.methods)
        has_policies = any(policy.policy_of(method) for method in methods)
        hint = [] if has_policies else ["--access open serves contracts without policies"]
        raise Faults([*error.faults, *hint]) from None


def is_public(policies: Mapping[str, policy.Method], method: Method) -> bool:
    """Says whether a method may be called from outside at all."""
    return policies[method.path].access != Access.ACCESS_INTERNAL


def private(policies: Mapping[str, policy.Method], methods: Iterable[Method]) -> frozenset[str]:
    """Names, in full, the methods whose answers depend on who asks."""
    return frozenset(
        method.full_name for method in methods if policies[method.path].access in FOR_PEOPLE
    )


def check_public(policies: Mapping[str, policy.Method], bound: Iterable[Method]) -> None:
    """Raises Faults for every bound method that only services may call."""
    faults = [
        f"{method.full_name}: is internal and has an HTTP binding"
        for method in bound
        if not is_public(policies, method)
    ]
    if faults:
        raise Faults(dict.fromkeys(faults))


def roles_of(descriptors: Descriptors, method: Method) -> Sequence[str] | None:
    """Tells who may call a method: one with any of the roles, any signed-in person if it is empty.

    None is anybody; so is the answer of a method without a policy.
    """
    service = descriptors.pool.FindServiceByName(method.service)
    found = policy.policy_of(service.methods_by_name[method.name])
    if found is None or found.access not in FOR_PEOPLE:
        return None
    return tuple(found.roles)


def terms_by_policy(
    policies: Mapping[str, policy.Method], admitting: Admitting
) -> Callable[[Method], Terms]:
    """Makes the terms of each method out of its policy."""

    def terms(method: Method) -> Terms:
        found = policies[method.path]
        return Terms(deadline_seconds=found.deadline, admission=admitting(found))

    return terms


def open_terms(deadline_seconds: float) -> Callable[[Method], Terms]:
    """Makes the terms of methods without a policy: everybody, and a deadline unless it streams."""
    streaming, unary = Terms(deadline_seconds=None), Terms(deadline_seconds=deadline_seconds)

    def terms(method: Method) -> Terms:
        return streaming if method.client_streaming or method.server_streaming else unary

    return terms
