"""Admits callers to one method: by how often they call, and by who they are.

    address, or partner, has a call left -> token is ours -> policy allows -> user has a call left

Imported only where policies are enforced. Who shows no good token has called all the same.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from gateway.access import FOR_PEOPLE, Admitting
from gateway.client_address import ClientAddresses, Origin
from gateway.rates.quotas import Quota, Quotas
from gateway.refusal import refusal
from gateway.settings import NAME, GatewaySettings
from gateway.tokens import People, Unverified
from gateway.transcoding.http import HttpRequest
from gateway.transcoding.terms import Admission
from gateway.transcoding.transport import Transport
from services.mesh import background, policy
from services.mesh.access_token import Person
from services.mesh.errors import DomainError
from services.mesh.identity import Caller
from services.mesh.interceptors import policy as policy_interceptor

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def admitting(
    environment: GatewaySettings, issuer: Callable[[], Transport]
) -> AsyncIterator[Admitting]:
    """Yields what makes admissions, and shares what they count as long as the block lasts.

    `issuer` gives what reaches the issuer of the tokens' keys, or raises KeyError.
    """
    people = People(environment, issuer)
    addresses = ClientAddresses(environment.trusted_proxies, environment.forwarded_field)
    factor = environment.rate_factor
    if factor != 1:
        _log.warning("rates are not those of the contracts", rate_factor=factor)
    if environment.redis_url is None:
        _log.warning("rates are counted by each process alone: SOUK_REDIS_URL is not given")
        yield Admissions(people, Quotas(factor, None), addresses).of
        return
    # Only now: most foreign contracts are served without Redis.
    from gateway.rates.sharing import Sharing  # noqa: PLC0415
    from services.mesh import redis_client  # noqa: PLC0415

    async with redis_client.opened(environment.redis_url, name=NAME) as redis:
        sharing = Sharing(redis)
        async with background.running(sharing.run(), name="sharing of rates"):
            yield Admissions(people, Quotas(factor, sharing), addresses).of


class Admissions:
    """Makes what admits callers to methods."""

    def __init__(self, people: People, quotas: Quotas, addresses: ClientAddresses) -> None:
        self._people = people
        self._quotas = quotas
        self._addresses = addresses

    def of(self, method: policy.Method) -> Admission:
        """Makes what admits callers to a method; not for one that is internal."""
        quota = self._quotas.of(method.rate)
        if method.access in FOR_PEOPLE:
            return _PersonAdmission(method, self._people, quota, self._addresses.origin)
        return _PublicAdmission(quota, self._addresses.origin)


class _PublicAdmission:
    """Admits everybody, as often as the address or the partner may; nobody asks who it is."""

    def __init__(self, quota: Quota, origin_of: Callable[[HttpRequest], Origin]) -> None:
        self._quota = quota
        self._origin_of = origin_of

    def admit_now(self, request: HttpRequest) -> bool:
        """Admits who calls, if no other process has to be asked."""
        if self._quota.asks:
            return False
        self._quota.charge_origin(self._origin_of(request))
        return True

    async def admit(self, request: HttpRequest) -> None:
        """Admits who calls."""
        await self._quota.ask_for_origin(self._origin_of(request))


class _PersonAdmission:
    """Admits people whom the policy allows, as often as they and their address or partner may."""

    def __init__(
        self,
        method: policy.Method,
        people: People,
        quota: Quota,
        origin_of: Callable[[HttpRequest], Origin],
    ) -> None:
        self._check = policy_interceptor.admission(method, frozenset({NAME}))
        self._people = people
        self._quota = quota
        self._origin_of = origin_of

    def admit_now(self, request: HttpRequest) -> bool:
        """Admits whoever shows a token that was verified before, or none."""
        quota = self._quota
        if quota.asks:
            return False
        try:
            person = self._people.known(request.headers)
        except DomainError as error:
            quota.charge_origin(self._origin_of(request))
            raise refusal(error) from None
        if isinstance(person, Unverified):
            return False
        quota.charge_origin(self._origin_of(request))
        self._check_person(person)
        if person is not None:
            quota.charge_user(person.subject)
        return True

    async def admit(self, request: HttpRequest) -> None:
        """Admits whoever the token speaks of."""
        await self._quota.ask_for_origin(self._origin_of(request))
        try:
            person = await self._people.verified(request.headers)
        except DomainError as error:
            raise refusal(error) from None
        self._check_person(person)
        if person is not None:
            await self._quota.ask_for_user(person.subject)

    def _check_person(self, person: Person | None) -> None:
        try:
            self._check(_caller(person))
        except DomainError as error:
            raise refusal(error) from None


def _caller(person: Person | None) -> Caller:
    if person is None:
        return Caller(service=NAME)
    return Caller(service=NAME, subject=person.subject, roles=person.roles, session=person.session)
