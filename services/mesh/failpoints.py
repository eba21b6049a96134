"""Points in the code where a test makes a process die, stop, fail or wait.

    SOUK_FAILPOINTS  := point (";" point)*
    point            := name [ "[" detail "]" ] "=" action [ "@" hit ] [ "%" probability ]
    action           := "kill" | "stop" | "error" | "delay:" milliseconds

    order.after_effect[STOCK_COMMITTED]=kill@3;outbox.before_mark=delay:200%0.1

`@3` acts at the third hit alone, `%0.1` at each tenth or so, by the seed SOUK_FAILPOINTS_SEED. What
the variable holds is in force as long as the process lives. SOUK_FAILPOINTS_ONCE names a file that
may hold one point at any time: the process that acts on it first renames the file, with `.reached`
at its end, so a process that is started again lives.

Off, a point is one call that does nothing. It can't be on by accident: nothing but these variables
turns it on, no chart knows them, and a process that listens anywhere but on loopback, as each does
in a cluster, refuses to start with them.
"""

import asyncio
import os
import random
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from services.mesh import address
from services.mesh.errors import Unavailable
from services.mesh.settings import SettingsError

POINTS: Mapping[str, str] = MappingProxyType(
    {
        "order.before_place": "the key is claimed, the order is not written down",
        "order.after_place": "the order and its event are committed, nothing is published",
        "order.before_effect": "of the state in `detail`: nothing was asked of anybody",
        "order.after_effect": "of the state in `detail`: it was answered, that is not written down",
        "order.after_record": "the step to the state in `detail` is committed",
        "order.before_answer": "the saga has ended, the key has no answer",
        "order.after_answer": "the key has its answer, the caller has not",
        "outbox.before_publish": "events are read, Redis has not got them",
        "outbox.before_mark": "Redis has the events, they do not count as published",
        "consumer.before_commit": "an event's effect and its inbox row are not committed",
        "consumer.before_acknowledge": "they are committed, Redis will deliver the event again",
        "payment.before_work": "the key is claimed, nothing was done",
        "payment.before_provider": "the operation in `detail` is open, the provider not asked",
        "payment.after_provider": "the provider has answered, that is not written down",
        "payment.after_settle": "the provider's answer is committed",
        "payment.before_answer": "the work is done, the key has no answer",
        "payment.after_answer": "the key has its answer, the caller has not",
        "product.before_reserve": "nothing of the order is taken",
        "product.after_take": "one product's pieces are taken for the order",
        "product.after_commit": "one product's pieces are the order's own",
        "product.after_release": "one product's pieces are put back",
        "idempotency.before_record": "a call of one transaction has its effect, not its answer",
    }
)
"""Every point and what is true when it is reached."""

_SYNTAX = re.compile(
    r"(?P<name>[a-z_.]+)(?:\[(?P<detail>\w+)\])?=(?P<action>kill|stop|error|delay:(?P<wait>\d+))"
    r"(?:@(?P<hit>\d+))?(?:%(?P<probability>[01](?:\.\d+)?))?"
)


class Injected(Unavailable):
    """The failure that a test asked for."""


@dataclass(slots=True, kw_only=True)
class _Armed:
    """A point that acts; `hits` counts how often it was reached."""

    name: str
    detail: str | None
    action: str
    wait_seconds: float
    hit: int | None
    probability: float
    hits: int = field(default=0)

    def is_due(self, name: str, detail: str, dice: random.Random) -> bool:
        if name != self.name or self.detail not in (None, detail):
            return False
        self.hits += 1
        return self.hit in (None, self.hits) and dice.random() < self.probability

    async def act(self) -> None:
        match self.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "error":
                raise Injected("a test asked for this failure")
            case _:
                await asyncio.sleep(self.wait_seconds)


class _Once:
    """The file that arms one point for one hit; it is read again whenever it was written."""

    def __init__(self, path: Path, dice: random.Random) -> None:
        self._path = path
        self._dice = dice
        self._modified = 0
        self._armed: _Armed | None = None

    async def reach(self, name: str, detail: str) -> None:
        with suppress(FileNotFoundError):
            modified = self._path.stat().st_mtime_ns
            if modified != self._modified:
                self._modified, self._armed = modified, _point(self._path.read_text())
            if self._armed and self._armed.is_due(name, detail, self._dice):
                armed, self._armed = self._armed, None
                self._path.rename(f"{self._path}.reached")
                await armed.act()


async def _off(_: str, __: str = "") -> None:
    """Is what `reach` is unless a test arms points."""


reach: Callable[..., Awaitable[None]] = _off
"""`await failpoints.reach(name, detail)`: does nothing, or what the point is armed with."""


def arm(environ: Mapping[str, str], *, listen: str) -> None:
    """Arms the points that the environment names. Raises SettingsError.

    `listen` is where the process will serve; only on loopback may points be armed.
    """
    global reach  # noqa: PLW0603 - bound once, as the process starts
    text, once = environ.get("SOUK_FAILPOINTS", ""), environ.get("SOUK_FAILPOINTS_ONCE", "")
    if not text and not once:
        return
    if not address.is_loopback(listen):
        raise SettingsError(["SOUK_FAILPOINTS is for tests, and only on loopback"])
    dice = random.Random(environ.get("SOUK_FAILPOINTS_SEED", ""))  # noqa: S311 - repeatable
    armed = [_point(each) for each in text.split(";") if each.strip()]
    file = _Once(Path(once), dice) if once else None

    async def reach_armed(name: str, detail: str = "") -> None:
        for each in armed:
            if each.is_due(name, detail, dice):
                await each.act()
        if file is not None:
            await file.reach(name, detail)

    reach = reach_armed


def _point(text: str) -> _Armed:
    parts = _SYNTAX.fullmatch(text.strip())
    if parts is None:
        raise SettingsError([f"SOUK_FAILPOINTS: {text!r} is no point like order.after_place=kill"])
    if parts["name"] not in POINTS:
        raise SettingsError([f"SOUK_FAILPOINTS: there is no point {parts['name']!r}"])
    return _Armed(
        name=parts["name"],
        detail=parts["detail"],
        action=parts["action"].partition(":")[0],
        wait_seconds=int(parts["wait"] or 0) / 1000,
        hit=int(parts["hit"]) if parts["hit"] else None,
        probability=float(parts["probability"] or 1),
    )
