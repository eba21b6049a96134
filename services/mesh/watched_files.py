"""A value read from files that change while the process runs: a secret, a certificate, a key.

    watched = WatchedFiles([path], read)
    watched.value               as it was last read
    watched.on_change(call)     call() after each change, on the loop

    async with watched_files.following([watched], period): ...

A path has changed when it leads to another file, or to one written since: device, inode, size and
time of modification. So a file renamed over it (Vault's agent, cert-manager) and Kubernetes'
exchange of the `..data` link are both seen. A folder stands for the files in it. What cannot be
used is told once, and what was read before stays in force.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Never, TypeVar

import structlog

from services.mesh import background

_T = TypeVar("_T")
_Stamp = tuple[tuple[str, int, int, int, int], ...]

_log = structlog.get_logger(__name__)


class WatchedFiles(Generic[_T]):
    """What `read` makes of the files at `paths`; `read` raises OSError or ValueError."""

    def __init__(self, paths: Sequence[Path], read: Callable[[], _T]) -> None:
        """Read for the first time. Raises what `read` raises."""
        self._paths = tuple(paths)
        self._read = read
        # Taken before the reading: what is written meanwhile is read again.
        self._stamp = _stamp(self._paths)
        self._refused = ""
        self._calls: list[Callable[[], None]] = []
        self.value = read()

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` on the loop after each change, when `value` is the new one."""
        self._calls.append(call)

    async def refresh(self) -> bool:
        """Look, and read again if a file has changed; returns whether the value is another."""
        found = await asyncio.to_thread(self._look)
        if found is None:
            return False
        value, self._stamp = found
        if value == self.value:
            return False
        self.value = value
        _log.info("files reloaded", paths=[str(path) for path in self._paths])
        for call in self._calls:
            call()
        return True

    def _look(self) -> tuple[_T, _Stamp] | None:
        """Return what the files hold and say of themselves, None if they are as they were."""
        try:
            stamp = _stamp(self._paths)
            if stamp == self._stamp:
                return None
            value = self._read()
        except (OSError, ValueError) as error:
            fault = f"{type(error).__name__}: {error}"
            if fault != self._refused:
                self._refused = fault
                _log.warning("files not reloaded, what was read before is used on", error=fault)
            return None
        self._refused = ""
        return value, stamp


@asynccontextmanager
async def following(watched: Iterable[WatchedFiles[Any]], period: timedelta) -> AsyncIterator[None]:
    """Refresh all of them every `period` until the block is left; more may be added meanwhile."""
    async with background.running(_follow(watched, period), name="files"):
        yield


async def _follow(watched: Iterable[WatchedFiles[Any]], period: timedelta) -> Never:
    while True:
        await asyncio.sleep(period.total_seconds())
        for each in tuple(watched):
            try:
                await each.refresh()
            except Exception as error:  # noqa: BLE001  # one of them must not stop the others
                # Its text may show what was read.
                _log.error("files not looked at", error=type(error).__name__)


def _stamp(paths: Iterable[Path]) -> _Stamp:
    """Return what tells these files from others and from themselves after a change."""
    return tuple(_facts(file) for path in paths for file in _files(path))


def _files(path: Path) -> Sequence[Path]:
    return sorted(path.iterdir()) if path.is_dir() else (path,)


def _facts(path: Path) -> tuple[str, int, int, int, int]:
    facts = path.stat()
    return str(path), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
