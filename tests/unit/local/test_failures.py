"""What keeps a command from its work is told in words, whichever task met it."""

import asyncio
import io
from collections.abc import Callable

import pytest

from services.local.commands import up
from services.local.commands.failures import attempt
from services.local.console import Console
from services.mesh.migrate import MigrationError
from services.mesh.settings import SettingsError


def done() -> None:
    """Goes well."""


def alone() -> None:
    """Fails at once."""
    raise OSError("the disk is full")


def among_others() -> None:
    """Fails in two tasks of a group within a group, as the migrations of two services do."""

    async def fail(error: Exception) -> None:
        raise error

    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(MigrationError("0001_create.sql has changed")))
            group.create_task(fail(SettingsError(["SOUK_REDIS_URL is required"])))

    async def outer() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())

    asyncio.run(outer())


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (done, (0, [])),
        (alone, (1, ["  ✗ the disk is full"])),
        (among_others, (1, ["  ✗ 0001_create.sql has changed", "  ✗ SOUK_REDIS_URL is required"])),
    ],
)
def test_a_failure_is_told_in_words(
    work: Callable[[], None], expected: tuple[int, list[str]]
) -> None:
    """Each error of a group stands in a line of its own, and the command fails."""
    text = io.StringIO()
    code = attempt(work, up.EXPECTED, Console(text))
    assert expected == (code, text.getvalue().splitlines())


def test_what_nobody_expects_goes_through() -> None:
    """A mistake of ours is not hidden in a line."""

    def broken() -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        attempt(broken, up.EXPECTED, Console(io.StringIO()))
