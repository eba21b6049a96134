"""What the console writes, with and without a terminal."""

import io

import pytest

from services.local.console import Console


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_output_has_no_escape_sequences() -> None:
    """A file or a pipe gets bare text."""
    stream = io.StringIO()
    console = Console(stream)
    console.log("order", "confirmed")
    console.done("order", 0.456)
    assert stream.getvalue() == "order        | confirmed\n  ✓ order          0.46 s\n"


def test_each_name_keeps_its_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of one service share a colour that differs from its neighbour's."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = _Terminal()
    console = Console(stream)
    for name in ("order", "payment", "order"):
        console.log(name, "")
    first, second, third = (line[:5] for line in stream.getvalue().splitlines())
    assert first == third
    assert first != second


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR turns the colours off on a terminal too."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = _Terminal()
    Console(stream).fail("gone")
    assert stream.getvalue() == "  ✗ gone\n"


def test_a_failure_of_several_lines_stays_together() -> None:
    """What belongs to a failure stands below it, indented."""
    stream = io.StringIO()
    Console(stream).fail("two ports are taken:\n8080\n8081")
    assert stream.getvalue() == "  ✗ two ports are taken:\n    8080\n    8081\n"


def test_held_logs_are_dropped_when_all_goes_well() -> None:
    """What children say while they start is not shown when they do."""
    stream = io.StringIO()
    console = Console(stream)
    with console.holding_logs():
        console.log("order", "starting")
    console.log("order", "started")
    assert stream.getvalue() == "order        | started\n"


def test_of_held_logs_those_are_shown_that_tell_why() -> None:
    """Where it is known who failed, the others' lines would only be in the way."""
    stream = io.StringIO()
    console = Console(stream)
    with pytest.raises(OSError, match="full"), console.holding_logs(lambda _error: ["order"]):
        console.log("order", "no space left")
        console.log("payment", "serving")
        raise OSError("disk full")
    assert stream.getvalue() == "order        | no space left\n"


def test_held_logs_are_shown_when_the_start_fails() -> None:
    """What children said is what explains why they do not start."""
    stream = io.StringIO()
    console = Console(stream)
    with pytest.raises(OSError, match="full"), console.holding_logs():
        console.log("order", "no space left")
        raise OSError("disk full")
    assert stream.getvalue() == "order        | no space left\n"
