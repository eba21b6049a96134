"""The errors that end a command, one by one."""

from collections.abc import Callable

from services.local.console import Console


def attempt(
    work: Callable[[], None], expected: tuple[type[Exception], ...], console: Console
) -> int:
    """Does the work of a command; says each error of an expected kind, and returns the exit code.

    Whatever else is raised goes through.
    """
    failures: list[BaseException] = []
    try:
        work()
    except* expected as group:
        failures = _leaves(group)
    for failure in failures:
        console.fail(str(failure))
    return 1 if failures else 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Returns the errors inside a group, however deep."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
