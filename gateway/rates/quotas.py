"""What the calls of a method are charged to, by its rate class, and what is said to who has none.

    RESOURCE_EXHAUSTED  RATE_LIMITED   429  RetryInfo, Retry-After, RateLimit-Policy, RateLimit
    UNAVAILABLE         RATE_UNKNOWN   503  RetryInfo: of LOGIN alone, when Redis does not answer

Calls of LOGIN are asked for one by one. All others are counted here and told to the other
processes after; without an answer of Redis they go on by what this process has counted.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from gateway.client_address import Origin
from gateway.rates.meter import BUCKET_SECONDS, Meter, NotShared
from gateway.refusal import refusal
from gateway.transcoding.errors import Headers
from services.mesh.errors import ResourceExhausted, Unavailable
from services.mesh.rates import rate_limit
from souk.mesh.v1.policy_pb2 import RateClass

if TYPE_CHECKING:
    from gateway.rates.sharing import Sharing

_COME_BACK_SECONDS: Final = 1.0

_REFUSED: Final = Counter("gateway_rate_refused", "Calls above the rates.", ("rate", "by"))


class RateLimited(ResourceExhausted):
    """The address, the partner or the user has no call of the rate left."""

    reason = "RATE_LIMITED"


class RateUnknown(Unavailable):
    """How many calls are left can't be told, and must be known."""

    reason = "RATE_UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the calls of one rate class are charged to.

    `asks` says that all processes are asked before a call, not told after it.
    """

    rate: str
    address: Meter
    partner: Meter
    user: Meter | None
    sharing: "Sharing | None"
    asks: bool

    def charge_origin(self, origin: Origin) -> None:
        """Takes a call from what the partner has, or else the address. Raises StatusError."""
        meter, who = self._of(origin)
        self._allow(meter, meter.take(who))

    def charge_user(self, subject: str) -> None:
        """Takes a call from what the user has. Raises StatusError."""
        if self.user is not None:
            self._allow(self.user, self.user.take(subject))

    async def ask_for_origin(self, origin: Origin) -> None:
        """Does what `charge_origin` does, exactly. Raises StatusError."""
        await self._ask(*self._of(origin))

    async def ask_for_user(self, subject: str) -> None:
        """Does what `charge_user` does, exactly. Raises StatusError."""
        if self.user is not None:
            await self._ask(self.user, subject)

    def _of(self, origin: Origin) -> tuple[Meter, str]:
        return (self.partner, origin.partner) if origin.partner else (self.address, origin.address)

    async def _ask(self, meter: Meter, who: str) -> None:
        if not self.asks or self.sharing is None:
            self._allow(meter, meter.take(who))
            return
        try:
            wait = await self.sharing.take(meter, who)
        except NotShared:
            told = "whether this may be done can't be told now"
            raise refusal(RateUnknown(told, retry_after=_retry_after(_COME_BACK_SECONDS))) from None
        self._allow(meter, wait)

    def _allow(self, meter: Meter, wait_seconds: float) -> None:
        if not wait_seconds:
            return
        by = meter.name.partition(":")[2]
        _REFUSED.labels(self.rate, by).inc()
        error = RateLimited(
            f"this {by} has made too many calls of the rate {self.rate}",
            retry_after=_retry_after(wait_seconds),
            rate=self.rate,
            by=by,
        )
        raise refusal(error, headers=_rate_limit(meter, wait_seconds))


class Quotas:
    """The quotas of all rate classes: the numbers of the contracts, times `factor`."""

    def __init__(self, factor: float, sharing: "Sharing | None") -> None:
        self._factor = factor
        self._sharing = sharing
        self._known: dict[RateClass.ValueType, Quota] = {}

    def of(self, rate: RateClass.ValueType) -> Quota:
        """Gives the quota of a class, always the same one. Raises KeyError if it has no numbers."""
        if rate not in self._known:
            limit = rate_limit(rate)
            name = RateClass.Name(rate).removeprefix("RATE_CLASS_")
            self._known[rate] = Quota(
                rate=name,
                address=self._meter(f"{name.lower()}:address", limit.per_address_per_minute),
                partner=self._meter(f"{name.lower()}:partner", limit.per_partner_per_minute),
                user=self._meter(f"{name.lower()}:user", limit.per_user_per_minute)
                if limit.per_user_per_minute
                else None,
                sharing=self._sharing,
                asks=rate == RateClass.RATE_CLASS_LOGIN and self._sharing is not None,
            )
        return self._known[rate]

    def _meter(self, name: str, per_minute: int) -> Meter:
        meter = Meter(name, per_minute * self._factor)
        if self._sharing is not None:
            self._sharing.share(meter)
        return meter


def _retry_after(seconds: float) -> timedelta:
    """Gives a time that is surely over by then: not a moment before."""
    return timedelta(seconds=seconds, milliseconds=1)


def _rate_limit(meter: Meter, wait_seconds: float) -> Headers:
    """Gives the fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left."""
    name = meter.name.encode()
    return [
        (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name, meter.per_minute, BUCKET_SECONDS)),
        (b"ratelimit", b'"%b";r=0;t=%d' % (name, -(-wait_seconds // 1))),
    ]
