"""Runs a module with a clock that is wrong: `python skewed.py SECONDS -m MODULE [ARGUMENT ...]`.

The clock is bent before the module's code is imported, so the services themselves have no switch
that could make them take an expired token. Monotonic time stays as it is, as with a real machine.
"""

import datetime as dt
import runpy
import sys
import time
from typing import Any

_seconds = float(sys.argv[1])
_time, _datetime = time.time, dt.datetime


class _Instances(type(_datetime)):  # type: ignore[misc]  # the metaclass of a built-in
    """Takes every datetime for one of ours, whoever made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class _Skewed(_datetime, metaclass=_Instances):  # type: ignore[misc, valid-type]  # it is one
    """A datetime whose `now` is wrong."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _datetime.now(tz) + dt.timedelta(seconds=_seconds)


def main() -> None:
    """Bends the clock and runs the module as if it had been started by itself."""
    time.time = lambda: _time() + _seconds
    dt.datetime = _Skewed  # type: ignore[misc]
    module = sys.argv[3]
    sys.argv = sys.argv[3:]
    # Where `python -m` would look, and not this file's folder.
    sys.path[0] = ""
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
