"""What the payment service can be told."""

from dataclasses import dataclass
from datetime import timedelta

from services.mesh.setting_bounds import ZeroOrMore
from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the payment service.

    `database_url`: its PostgreSQL database.
    `provider_url`, `provider_api_key`: the payment provider's HTTP API.
    `provider_webhook_secret`: what the provider signs its events with.
    `provider_timeout`, `provider_lookup_timeout`: how long an answer is waited for; together less
    than the deadline of the RPCs, so that a caller is told of the provider's silence.
    `resolve_interval`: how often payments without an answer are looked for; `resolve_after`: how
    long a call has before its payment counts as one.
    `give_up_after`: how long the provider may leave an operation without an answer; longer than
    SOUK_PAY_WITHIN of the order service, so that no order waits for it any more.
    `reconcile_every`: how often payments are compared with the provider's ledger and the orders;
    `reconcile_grace`: how old what is compared must be; `reconcile_poll`: how often it is looked
    whether it is time.
    """

    database_url: Secret
    provider_url: str
    provider_api_key: Secret
    provider_webhook_secret: Secret
    provider_timeout: timedelta = timedelta(milliseconds=2500)
    provider_lookup_timeout: timedelta = timedelta(seconds=1)
    resolve_interval: timedelta = timedelta(seconds=1)
    resolve_after: timedelta = timedelta(seconds=5)
    give_up_after: timedelta = timedelta(minutes=15)
    reconcile_every: timedelta = timedelta(days=1)
    reconcile_grace: ZeroOrMore[timedelta] = timedelta(minutes=1)
    reconcile_poll: timedelta = timedelta(minutes=1)
