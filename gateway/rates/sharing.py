"""Keeps the meters of all gateway processes in step through Redis.

    {souk:rates}:<meter>:<who> = when the bucket is full again, in µs of Redis' clock

Each process counts by itself, and ten times a second tells Redis what it took and learns what all
took together. So a caller of several processes may have as much more as the others take within a
tenth of a second; it is owed, and waited for. What must be exact is asked for before the call.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.rates.meter import BUCKET_SECONDS, Meter, NotShared

# KEYS are buckets; ARGV has of each the debt to add and the most that it may come to, in µs.
# Answers of each whether it was added, and the debt after it.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {}
for i, key in ipairs(KEYS) do
  local debt = math.max(tonumber(redis.call('GET', key) or '0') - now, 0)
  local owed = debt + tonumber(ARGV[2 * i - 1])
  local taken = 0
  if owed <= tonumber(ARGV[2 * i]) then
    taken, debt = 1, owed
    redis.call('SET', key, string.format('%.0f', now + owed), 'PX', math.ceil(owed / 1000) + 1)
  end
  answer[2 * i - 1] = taken
  answer[2 * i] = string.format('%.0f', debt)
end
return answer
"""

_MICRO: Final = 1_000_000
_ANY: Final = 1 << 52
"""More debt than there will ever be, and exact in Lua."""

_PERIOD_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 1.0
_MOST_KEYS: Final = 500

_log = structlog.get_logger(__name__)


class Sharing:
    """The meters of one process, as far as others have them too."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._meters: list[Meter] = []
        self._changed = asyncio.Event()
        self._is_lost = False

    def share(self, meter: Meter) -> None:
        """Shares a meter from now on."""
        meter.changed = self._changed.set
        self._meters.append(meter)

    async def take(self, meter: Meter, who: str) -> float:
        """Takes a call as all processes together may; gives 0, or the seconds to wait.

        Raises NotShared.
        """
        wait = meter.wait_seconds(who)
        if wait:
            return wait
        cost = round(meter.cost * _MICRO)
        most = round(BUCKET_SECONDS * _MICRO)
        [(is_taken, debt)] = await self._run([(meter, who)], [cost, most])
        meter.learn(who, debt)
        return 0.0 if is_taken else max(debt + meter.cost - BUCKET_SECONDS, meter.cost / 2)

    async def run(self) -> None:
        """Tells and learns until it is cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_PAUSE_SECONDS if self._is_lost else _PERIOD_SECONDS)
            self._changed.clear()
            untold = [(meter, *each) for meter in self._meters for each in meter.untold()]
            try:
                for at in range(0, len(untold), _MOST_KEYS):
                    await self._tell(untold[at : at + _MOST_KEYS])
            except NotShared:
                # What was not told stays known to this process, which goes on by it alone.
                continue

    async def _tell(self, calls: Sequence[tuple[Meter, str, int]]) -> None:
        arguments = []
        for meter, _, count in calls:
            arguments += [round(count * meter.cost * _MICRO), _ANY]
        answers = await self._run([(meter, who) for meter, who, _ in calls], arguments)
        for (meter, who, _), (_, debt) in zip(calls, answers, strict=True):
            meter.learn(who, debt)

    async def _run(
        self, buckets: Sequence[tuple[Meter, str]], arguments: Sequence[int]
    ) -> list[tuple[bool, float]]:
        keys = [f"{{souk:rates}}:{meter.name}:{who}" for meter, who in buckets]
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                answer = await self._script(keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._tell_of(is_lost=True, error=type(error).__name__)
            raise NotShared from error
        self._tell_of(is_lost=False)
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return [(bool(is_taken), int(debt) / _MICRO) for is_taken, debt in pairs]

    def _tell_of(self, *, is_lost: bool, **fields: str) -> None:
        if is_lost != self._is_lost:
            self._is_lost = is_lost
            tell = _log.error if is_lost else _log.info
            tell("rates are not shared" if is_lost else "rates are shared again", **fields)
