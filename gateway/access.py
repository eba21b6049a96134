"""Decides who may make which call, by the `souk.mesh.v1.policy` of its method.

Services decide again, on what they alone know; what is refused here does not reach them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from gateway.settings import NAME
from gateway.transcoding.descriptors import Descriptors, Faults, Method
from gateway.transcoding.errors import Headers, StatusError
from gateway.transcoding.terms import Admit, Terms
from services.mesh import policy
from services.mesh.access_token import Verifier
from services.mesh.errors import DomainError
from services.mesh.identity import Caller
from services.mesh.interceptors.identity import AuthorizationMalformed
from services.mesh.interceptors.policy import admission
from services.mesh.policy import ContractError
from services.mesh.status import status_from_error
from souk.mesh.v1.policy_pb2 import Access

_DOMAIN: Final = "gateway.souk"
_OPEN_SECONDS: Final = 60.0
_FOR_PEOPLE: Final = frozenset({Access.ACCESS_USER, Access.ACCESS_ROLE})


def read_policies(descriptors: Descriptors, bound: Collection[str]) -> Mapping[str, policy.Method]:
    """Reads the policy of every method of the bound services, by its path.

    Raises Faults for a method without a sound policy, and for an internal one.
    """
    services = [descriptors.pool.FindServiceByName(name) for name in sorted(bound)]
    try:
        return {method.path: method for method in policy.methods(services)}
    except ContractError as error:
        raise Faults(error.faults) from None


def is_public(policies: Mapping[str, policy.Method], method: Method) -> bool:
    """Says whether a method may be called from outside at all."""
    return policies[method.path].access != Access.ACCESS_INTERNAL


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
    if found is None or found.access not in _FOR_PEOPLE:
        return None
    return tuple(found.roles)


def terms_by_policy(
    policies: Mapping[str, policy.Method], verifier: Verifier
) -> Callable[[Method], Terms]:
    """Makes the terms of each method out of its policy."""

    def terms(method: Method) -> Terms:
        found = policies[method.path]
        return Terms(
            deadline_seconds=found.deadline,
            admit=_admit(found, verifier) if found.access in _FOR_PEOPLE else None,
        )

    return terms


def open_terms(method: Method) -> Terms:
    """Makes the terms of a method without a policy: everybody, and a minute unless it streams."""
    streams = method.client_streaming or method.server_streaming
    return Terms(deadline_seconds=None if streams else _OPEN_SECONDS)


def _admit(method: policy.Method, verifier: Verifier) -> Admit:
    admit = admission(method, frozenset({NAME}))

    async def check(headers: Headers) -> None:
        try:
            admit(await _caller(headers, verifier))
        except DomainError as error:
            raise StatusError(status_from_error(error, _DOMAIN)) from None

    return check


async def _caller(headers: Headers, verifier: Verifier) -> Caller:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return Caller(service=NAME)
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise AuthorizationMalformed("give one bearer token")
    person = await verifier.verify(token)
    return Caller(service=NAME, subject=person.subject, roles=person.roles, session=person.session)
