"""Replaces the key that signs access tokens, without a token that somebody can't verify.

    next       published, signs nothing      until everybody who verifies has fetched it
    current    signs                         for its life
    former     published, signs nothing      until the last token that it signed has expired

How long a key has been what it is, the files say: a key's time is when it was written, that of
`current` when it was last pointed elsewhere. So a rotation that was begun goes on after a restart,
and whoever may write to the folder can begin one by writing a key.
"""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from services.user import signing_keys
from services.user.signing_keys import SigningKeysError

INTRODUCTION = timedelta(minutes=10)
"""How long a key is published before it signs: twice what verifiers keep keys for."""

_ADVANCE_SECONDS = 30
# Clocks differ, and a verifier grants five seconds.
_MARGIN = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long a key signs, and how long a token that it signed can live."""

    life: timedelta
    token_life: timedelta


async def keep_rotating(folder: Path, schedule: Schedule) -> None:
    """Take the next step whenever it is due, until cancelled."""
    while True:
        try:
            done = await asyncio.to_thread(advance, folder, schedule, now=time.time())
        except (SigningKeysError, OSError) as error:
            _log.error("signing keys not rotated", error=str(error))
        else:
            if done:
                _log.info("signing keys rotated", step=done)
        await asyncio.sleep(_ADVANCE_SECONDS)


def begin(folder: Path, *, now: float) -> str:
    """Write the next key, unless there is one; return its kid. Raises SigningKeysError, OSError."""
    following = _next(folder)
    if following is not None:
        return following.stem
    kid = secrets.token_hex(8)
    signing_keys.publish(folder, kid)
    os.utime(folder / f"{kid}.pem", (now, now))
    return kid


def advance(folder: Path, schedule: Schedule, *, now: float) -> str:
    """Take the one step that is due at `now`, in Unix seconds; say which, or nothing.

    Raises SigningKeysError and OSError if the folder can't be used.
    """
    current = _current(folder)
    signs_for = _age(folder / "current", now)
    following = _next(folder)
    if following is not None and _age(following, now) >= INTRODUCTION:
        signing_keys.sign_with(folder, following.stem)
        os.utime(folder / "current", (now, now))
        return f"{following.stem} signs"
    if following is None and signs_for >= schedule.life:
        return f"{begin(folder, now=now)} is published"
    if signs_for >= schedule.token_life + _MARGIN:
        former = [path for path in folder.glob("*.pem") if path not in {current, following}]
        for path in former:
            path.unlink()
        return f"{', '.join(path.stem for path in former)} is withdrawn" if former else ""
    return ""


def _current(folder: Path) -> Path:
    return folder / f"{signing_keys.read(folder).current_kid}.pem"


def _next(folder: Path) -> Path | None:
    """Return the key that was written after the one that signs, None if there is none."""
    current = _current(folder)
    newest = max(folder.glob("*.pem"), key=_written)
    return newest if newest != current and _written(newest) > _written(current) else None


def _written(path: Path) -> float:
    return path.stat().st_mtime


def _age(path: Path, now: float) -> timedelta:
    return timedelta(seconds=now - _written(path))
