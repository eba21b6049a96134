"""Counts calls by token buckets, each kept as the one number that says when it is full again.

    0 ............ now ............ full at          debt = full at - now, 0 if it is past
                    |----- debt -----|
                    |------------- most -----------|  a call is taken while its cost fits in

A bucket of 30 calls a minute: each costs 2 s of debt, and 60 s are the most (the generic cell rate
algorithm, ITU-T I.371 annex A).
"""

import time
from collections.abc import Callable
from typing import Final

BUCKET_SECONDS: Final = 60.0
"""What a bucket holds: the calls of a minute, as the contracts count them."""

_FIRST_SWEEP: Final = 1024
_SWEEP_SECONDS: Final = 1.0
_MOST_BUCKETS: Final = 100_000


class NotShared(Exception):
    """What other processes have counted cannot be told now."""


class _Bucket:
    __slots__ = ("full_at", "untold")

    def __init__(self) -> None:
        self.full_at = 0.0
        self.untold = 0


class Meter:
    """The calls of one rate class, by address, by partner or by user.

    `name` tells it apart from other meters; `cost` is the seconds of debt that a call makes.
    At most 100,000 callers are known at a time; whoever comes on top is not counted, since nobody
    who has so many addresses is stopped by counting them.
    """

    def __init__(
        self, name: str, per_minute: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.per_minute = per_minute
        self.cost = BUCKET_SECONDS / per_minute
        self.changed: Callable[[], None] | None = None
        """Called when there is something to tell other processes, once until it is `told`."""
        self._now = now
        self._buckets: dict[str, _Bucket] = {}
        self._untold: list[str] = []
        self._sweep_at = _FIRST_SWEEP
        self._next_sweep = 0.0

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: str) -> float:
        """Takes a call; gives 0, or the seconds after which one would be taken."""
        now = self._now()
        bucket = self._buckets.get(who) or self._new(who, now)
        if bucket is None:
            return 0.0
        debt = bucket.full_at - now
        debt = max(debt, 0.0)
        debt += self.cost
        if debt > BUCKET_SECONDS:
            return debt - BUCKET_SECONDS
        bucket.full_at = now + debt
        if self.changed is not None:
            if not bucket.untold:
                self._untold.append(who)
                if len(self._untold) == 1:
                    self.changed()
            bucket.untold += 1
        return 0.0

    def wait_seconds(self, who: str) -> float:
        """Gives what `take` would give, and takes nothing."""
        bucket = self._buckets.get(who)
        debt = 0.0 if bucket is None else bucket.full_at - self._now()
        return max(0.0, debt + self.cost - BUCKET_SECONDS)

    def untold(self) -> list[tuple[str, int]]:
        """Gives what nobody else knows yet: who has made how many calls. It is told with that."""
        untold, self._untold = self._untold, []
        told = []
        for who in untold:
            bucket = self._buckets[who]
            told.append((who, bucket.untold))
            bucket.untold = 0
        return told

    def learn(self, who: str, debt: float) -> None:
        """Takes note of a debt to all processes, in seconds; it never makes ours smaller."""
        now = self._now()
        bucket = self._buckets.get(who) or self._new(who, now)
        if bucket is not None:
            # Calls that were taken while the question was on its way are not in it.
            bucket.full_at = max(bucket.full_at, now + debt + bucket.untold * self.cost)

    def _new(self, who: str, now: float) -> _Bucket | None:
        if len(self._buckets) >= self._sweep_at and now >= self._next_sweep:
            self._sweep(now)
        if len(self._buckets) >= _MOST_BUCKETS:
            return None
        bucket = self._buckets[who] = _Bucket()
        return bucket

    def _sweep(self, now: float) -> None:
        """Forgets whose bucket is full. Not often, since it looks at all of them."""
        self._buckets = {
            who: bucket
            for who, bucket in self._buckets.items()
            if bucket.full_at > now or bucket.untold
        }
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._buckets))
        self._next_sweep = now + _SWEEP_SECONDS
