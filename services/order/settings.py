"""What the order service can be told."""

from dataclasses import dataclass
from datetime import timedelta

from services.mesh.settings import MeshSettings, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(MeshSettings):
    """The settings of the order service.

    `database_url`: its PostgreSQL database. `redis_url`: where its events are published.
    `pay_within`: an order that is not paid by then is undone.
    `hold_stock`: how long stock is reserved; longer than `pay_within`, or a slow payment would lose
    its stock.
    `answer_margin`: how long before the end of its deadline CreateOrder answers with what it has.
    `lease`: how long an order is left to whoever works on it; longer than any call to another
    service, since it is renewed with every step.
    `saga_concurrency`: how many orders the worker works on at a time.
    `retry_most`: the longest pause between two tries of the same step.
    `poll`: how long a missed notification can go unnoticed.
    `stuck_after`: how long an order may be overdue, or undone, before it is reported as stuck;
    `watch_interval`: how often it is looked for such orders.
    """

    database_url: Secret
    redis_url: Secret
    pay_within: timedelta = timedelta(minutes=10)
    hold_stock: timedelta = timedelta(minutes=15)
    answer_margin: timedelta = timedelta(milliseconds=500)
    lease: timedelta = timedelta(seconds=6)
    saga_concurrency: int = 16
    retry_most: timedelta = timedelta(seconds=3)
    poll: timedelta = timedelta(seconds=1)
    stuck_after: timedelta = timedelta(minutes=1)
    watch_interval: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        """Refuse stock that is given back before the order is."""
        if self.hold_stock <= self.pay_within:
            raise ValueError("SOUK_HOLD_STOCK must be longer than SOUK_PAY_WITHIN")
