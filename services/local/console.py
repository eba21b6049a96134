"""What a person sees in the terminal: steps with their time, and the children's log lines.

    ✓ postgres        0.42 s
    order    | 12:00:01 info order confirmed

Plain ANSI colours, and none when the output is no terminal or `NO_COLOR` is set (no-color.org).
"""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import TextIO

_RESET = "\x1b[0m"
_BOLD, _DIM, _RED, _GREEN, _YELLOW = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"
# Blue, magenta, cyan, and their bright kin: red, green and yellow say how something went.
_NAME_COLOURS = ("\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[94m", "\x1b[95m", "\x1b[96m")
_NAME_WIDTH = 12
_MOST_HELD = 200

Culprits = Callable[[Exception], Collection[str]]
"""Names the children that a failure is about."""


def _nobody(_error: Exception) -> Collection[str]:
    return ()


class Console:
    """Writes whole lines to a text stream; the only writer to it while the mesh runs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._held: deque[tuple[str, str]] | None = None
        self._colours: dict[str, str] = {}
        self._coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")

    def line(self, text: str = "") -> None:
        """Writes one line as it is."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        """Writes a line that starts a new part."""
        self.line(self._paint(text, _BOLD))

    def done(self, what: str, seconds: float, note: str = "") -> None:
        """Says that a step succeeded and how long it took."""
        tail = self._paint(f"  {note}", _DIM) if note else ""
        tick = self._paint("✓", _GREEN)
        self.line(f"  {tick} {what:<{_NAME_WIDTH}} {seconds:6.2f} s{tail}")

    def warn(self, text: str) -> None:
        """Says what went wrong but is being handled."""
        self.line(self._paint(f"  ! {text}", _YELLOW))

    def fail(self, text: str) -> None:
        """Says what ended the command."""
        first, *more = text.splitlines() or [""]
        self.line(self._paint("\n    ".join([f"  ✗ {first}", *more]), _RED))

    @contextlib.contextmanager
    def holding_logs(self, culprits: Culprits = _nobody) -> Iterator[None]:
        """Keeps the children's output back for the length of the block; it shows if that fails.

        It is that of the `culprits` of the failure alone, or of all if there are none.
        """
        self._held = deque(maxlen=_MOST_HELD)
        try:
            yield
        except Exception as error:
            names = culprits(error)
            for name, line in self._held:
                if not names or name in names:
                    self.line(line)
            raise
        finally:
            self._held = None

    def log(self, name: str, text: str) -> None:
        """Writes one line of a child's output under its name."""
        if name not in self._colours:
            self._colours[name] = _NAME_COLOURS[len(self._colours) % len(_NAME_COLOURS)]
        prefix = self._paint(f"{name:<{_NAME_WIDTH}} |", self._colours[name])
        line = f"{prefix} {text}"
        if self._held is None:
            self.line(line)
        else:
            self._held.append((name, line))

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if self._coloured else text
